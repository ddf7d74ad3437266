/* main.c - sherd-server: options, configuration, threads, signals, exit codes. */
#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "client/conf.h"
#include "client/log.h"
#include "server/background.h"
#include "server/keeper.h"
#include "server/service.h"

enum { EXIT_USAGE = 2, EXIT_ENVIRONMENT = 6, FRAME_THRESHOLD = 64 << 20 };

static atomic_bool stop; /* lock-free: a signal handler may set it */

static void on_signal(int signal_number)
{
    (void)signal_number;
    stop = true;
}

static int usage(FILE *out, int code)
{
    fprintf(out,
            "usage: sherd-server --config FILE [--self N] [--keeper-dir DIR] [--init] [-n]\n"
            "\n"
            "  --config FILE     the configuration (conf/sherd.conf shows every option)\n"
            "  --self N          which of its nodes this is, instead of `self` in the file\n"
            "  --keeper-dir DIR  this node carries the keeper, instead of `keeper_dir`\n"
            "  --init            with the keeper in this node and no map yet: make the first one\n"
            "  -n                only check the configuration\n"
            "  --version         print the version\n"
            "\n"
            "A cluster by hand, six nodes of one file:\n"
            "  sherd-server --config conf/local-6.conf --self 0 --keeper-dir /tmp/keeper --init &\n"
            "  for i in 1 2 3 4 5; do sherd-server --config conf/local-6.conf --self $i & done\n"
            "  sherd --conf conf/local-6.conf status\n");
    return code;
}

struct arguments {
    const char *config, *self, *keeper_dir;
    bool init, check_only, version, help, bad;
};

static struct arguments parse(int argc, char **argv)
{
    static const struct option options[] = {
        {"config",     required_argument, NULL, 'c'},
        {"self",       required_argument, NULL, 's'},
        {"keeper-dir", required_argument, NULL, 'k'},
        {"init",       no_argument,       NULL, 'i'},
        {"version",    no_argument,       NULL, 'v'},
        {"help",       no_argument,       NULL, 'h'},
        {NULL,         0,                 NULL, 0  },
    };
    struct arguments a = {0};
    int c;

    while ((c = getopt_long(argc, argv, "c:nh", options, NULL)) != -1) {
        switch (c) {
        case 'c': a.config = optarg; break;
        case 's': a.self = optarg; break;
        case 'k': a.keeper_dir = optarg; break;
        case 'i': a.init = true; break;
        case 'n': a.check_only = true; break;
        case 'v': a.version = true; break;
        case 'h': a.help = true; break;
        default: a.bad = true; break;
        }
    }
    if (optind != argc || (!a.config && !a.version && !a.help)) a.bad = true;
    return a;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Shards come and go in all sizes: keep freed memory instead of giving every large block back to
 * the kernel and faulting it in again. */
static void tune_allocator(void)
{
    mallopt(M_MMAP_THRESHOLD, FRAME_THRESHOLD);
    mallopt(M_TRIM_THRESHOLD, FRAME_THRESHOLD);
    mallopt(M_ARENA_MAX, 2);
}

/* Runs the node's threads until a signal; 0 or negative errno. */
static int run(const struct sherd_conf *conf, bool init, void *zmq_context)
{
    struct sherd_progress progress = {0};
    struct sherd_service_life life;
    struct sherd_service *service = NULL;
    struct sherd_background *background = NULL;
    struct sherd_keeper *keeper = NULL;
    uint64_t incarnation = 0;
    int rc;

    while (incarnation == 0)
        arc4random_buf(&incarnation, sizeof(incarnation));
    rc = sherd_service_open(conf, zmq_context, incarnation, &progress, &service);
    if (rc < 0) log_warn("%s: %s", conf->nodes[conf->self].endpoint, zmq_strerror(-rc));
    if (rc == 0 && conf->keeper_dir[0]) rc = sherd_keeper_start(conf, init, zmq_context, &keeper);
    if (rc == 0) {
        sherd_service_life(service, &life);
        rc = sherd_background_start(conf, zmq_context, &life, &progress, &background);
        if (rc < 0) log_error("background: %s", zmq_strerror(-rc));
    }
    if (rc == 0) {
        log_info("node %d serves %s", conf->self, conf->nodes[conf->self].endpoint);
        rc = sherd_service_run(service, &stop);
    }
    sherd_background_stop(background);
    sherd_keeper_stop(keeper);
    sherd_service_close(service);
    return rc;
}

/* What the command line says goes before the file, so that one file can serve all nodes. */
static bool take_over(const struct arguments *a, struct sherd_conf *conf)
{
    const char *error = NULL;
    int last = (int)conf->node_count - 1;

    if (a->self) conf->self = (int)strtonum(a->self, 0, last, &error);
    if (error) {
        fprintf(stderr, "sherd-server: --self %s: %s has nodes 0 to %d\n", a->self, a->config,
                last);
        return false;
    }
    if (a->keeper_dir && strlcpy(conf->keeper_dir, a->keeper_dir, sizeof(conf->keeper_dir)) >=
                             sizeof(conf->keeper_dir)) {
        fprintf(stderr, "sherd-server: --keeper-dir: longer than %zu bytes\n",
                sizeof(conf->keeper_dir) - 1);
        return false;
    }
    if (conf->self == SHERD_CONF_NO_SELF && !a->check_only)
        fprintf(stderr, "sherd-server: which node is this? --self N, or `self` in %s\n", a->config);
    return conf->self != SHERD_CONF_NO_SELF || a->check_only;
}

int main(int argc, char **argv)
{
    struct arguments a = parse(argc, argv);
    struct sherd_conf conf;
    char error[512];
    void *zmq_context;
    int rc;

    if (a.bad) return usage(stderr, EXIT_USAGE);
    if (a.help) return usage(stdout, 0);
    if (a.version) {
        printf("sherd-server %s\n", SHERD_VERSION);
        return 0;
    }
    rc = sherd_conf_load(a.config, &conf, error, sizeof(error));
    if (rc < 0) {
        fprintf(stderr, "sherd-server: %s\n", error);
        return rc == -ENOMEM ? EXIT_ENVIRONMENT : EXIT_USAGE;
    }
    if (!take_over(&a, &conf)) {
        sherd_conf_fini(&conf);
        return EXIT_USAGE;
    }
    if (a.check_only) {
        sherd_conf_fini(&conf);
        return 0;
    }
    log_init("sherd-server", (int)conf.log_level);
    tune_allocator();
    catch_signals();
    zmq_context = zmq_ctx_new();
    if (!zmq_context) log_error("no memory left");
    rc = zmq_context ? run(&conf, a.init, zmq_context) : -ENOMEM;
    if (zmq_context) zmq_ctx_term(zmq_context);
    sherd_conf_fini(&conf);
    log_info("stopped");
    return rc < 0 ? EXIT_ENVIRONMENT : 0;
}
