/* test_allocations.c - every allocation that sherd's own code makes fails once, each in a life of
 * its own (life.h): for each phase one life counts the calls at each site, then for the j-th call
 * of each site another one is lived in which that call fails. A life is a process: a crash, a hang
 * and a leak are told apart, and several are lived at a time.
 *
 *   test_allocations              of each site the first two calls of a phase and the last; in
 *                                 `set`, `recover` and `repair` all of a site for a while
 *   --full                        every call; all of a site for a while; and everything for a
 *                                 while, from the n-th call on
 *   --phase NAME                  only this one
 *   --replay PHASE SITE CALL      one life again, with its log, as printed: SITE in hex or `storm`,
 *                                 CALL with `+` for what follows too
 *
 * A life mostly waits: six are lived at a time for each of JOBS (2 unless set).
 *
 * Prints, by phase: sites and calls met, lives, what became of the operations; then each site of
 * the product that no phase has met. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/log.h"
#include "tests/allocations/life.h"
#include "tests/allocations/sites.h"
#include "tests/support/alloc_fault.h"

enum {
    JOBS_MAX = 4096,
    WORKERS_MAX = 64,
    WORKERS_PER_JOB = 6,
    STORM_MS = 300,
    REPAIR_MS = 2000, /* what is to be repaired is not looked at before a second */
    HANG_S = 120,
    STORMS = 6, /* a phase, beside the first call */
    FIRST_CALLS = 2,
};

/* One life: what it is to suffer, and, once lived, how it went. In memory shared with the child. */
struct job {
    enum life_phase phase;
    enum job_kind { JOB_COUNT, JOB_SITE, JOB_DROUGHT, JOB_STORM } kind;
    uintptr_t site;
    uint32_t nth;

    bool ended, failed;
    uint32_t hit;
    unsigned outcomes[LIFE_OUTCOMES];
    uint64_t lived_ms;
    char story[LIFE_STORY_SIZE];
    size_t site_count;
    struct alloc_site sites[ALLOC_SITES_MAX];
};

static struct job *jobs;
static size_t job_count, next_job;
static struct {
    pid_t pid;
    size_t job;
    uint64_t since_ms;
    bool hung;
} workers[WORKERS_MAX];
static char root[32];
static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static void dir_of(size_t job, char out[NODES_PATH_SIZE])
{
    snprintf(out, NODES_PATH_SIZE, "%s/%zu", root, job);
}

static void remove_dir(const char *dir)
{
    static const char *const names[] = {
        "log", "main.conf", "nodes.conf", "keeper/map", "keeper/map.new", "keeper/lock", "keeper",
        "0",   "1",         "2",          "k"};
    char path[NODES_PATH_SIZE + 16];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        if (unlink(path) < 0) rmdir(path);
    }
    rmdir(dir);
}

/* Leaves nothing behind. */
static void stop_lives(void)
{
    char dir[NODES_PATH_SIZE];

    for (unsigned i = 0; i < WORKERS_MAX; i++) {
        if (workers[i].pid == 0) continue;
        kill(workers[i].pid, SIGKILL);
        waitpid(workers[i].pid, NULL, 0);
        dir_of(workers[i].job, dir);
        remove_dir(dir);
    }
    rmdir(root);
}

/* Not for a life: it knows of others. */
static void die(const char *what)
{
    fprintf(stderr, "test_allocations: %s: %s\n", what, strerror(errno));
    stop_lives();
    exit(1);
}

static void add_job(enum life_phase phase, enum job_kind kind, uintptr_t site, uint32_t nth)
{
    if (job_count == JOBS_MAX) {
        errno = E2BIG;
        die("too many allocations");
    }
    jobs[job_count++] = (struct job){.phase = phase, .kind = kind, .site = site, .nth = nth};
}

/* ---- one life, in its process ---- */

static void *end_storm(void *phase)
{
    usleep((*(enum life_phase *)phase == LIFE_repair ? REPAIR_MS : STORM_MS) * 1000);
    alloc_fault_off();
    return NULL;
}

static void act_armed(struct life *l, const struct job *job)
{
    pthread_t watch;

    l->armed = true;
    l->storm = job->kind == JOB_STORM || job->kind == JOB_DROUGHT;
    if (l->storm && pthread_create(&watch, NULL, end_storm, &l->phase) != 0) {
        life_fail(l, "no thread");
        return;
    }
    switch (job->kind) {
    case JOB_COUNT: alloc_fault_count(); break;
    case JOB_SITE: alloc_fault_site(job->site, job->nth); break;
    case JOB_DROUGHT: alloc_fault_site_from(job->site, job->nth); break;
    case JOB_STORM: alloc_fault_from(job->nth); break;
    }
    life_act(l);
    if (l->storm) pthread_join(watch, NULL); /* the servers have their share of it too */
    alloc_fault_off();
    l->armed = l->storm = false;
}

static void live(struct job *job, const char *dir)
{
    static struct life life; /* it is large */
    uint64_t since_ms = life_now_ms();
    uintptr_t at = 0;
    size_t left;

    log_init("life", SHERD_LOG_ERROR);
    life_begin(&life, job->phase, dir);
    life_prepare(&life);
    if (!life.failed) act_armed(&life, job);
    job->hit = alloc_fault_failed();
    job->site_count = alloc_fault_sites(job->sites);
    life_check_keys(&life); /* before anything is written over */
    /* With memory it succeeds. Writes that died are not repeated: they are swept meanwhile. */
    if (!life.failed && job->phase != LIFE_sweep) life_act(&life);
    life_check(&life);
    life_end(&life);
    left = alloc_fault_live(&at);
    if (left > 0) life_fail(&life, "%zu blocks leaked, one of %lx", left, (unsigned long)at);
    memcpy(job->outcomes, life.outcomes, sizeof(job->outcomes));
    memcpy(job->story, life.story, sizeof(job->story));
    job->failed = life.failed;
    job->lived_ms = life_now_ms() - since_ms;
    job->ended = true;
}

/* ---- many lives ---- */

static pid_t begin_life(size_t at)
{
    char dir[NODES_PATH_SIZE], path[NODES_PATH_SIZE + 8];
    pid_t pid;
    int fd;

    dir_of(at, dir);
    if (mkdir(dir, 0700) < 0) die(dir);
    fflush(stdout);
    pid = fork();
    if (pid < 0) die("fork");
    if (pid > 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    snprintf(path, sizeof(path), "%s/log", dir);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || dup2(fd, STDERR_FILENO) < 0) _exit(99);
    live(&jobs[at], dir);
    exit(0); /* not _exit: the leak sanitizer looks now */
}

static void show_log(const char *dir)
{
    char path[NODES_PATH_SIZE + 8], line[512];
    FILE *file;
    int lines = 0;

    snprintf(path, sizeof(path), "%s/log", dir);
    file = fopen(path, "re");
    while (file && lines++ < 60 && fgets(line, sizeof(line), file))
        printf("    | %s", line);
    if (file) fclose(file);
}

static void show_job(const struct job *job)
{
    char name[SITE_NAME_SIZE];

    if (job->kind == JOB_COUNT) {
        printf("%s, nothing fails", life_phase_name(job->phase));
    } else if (job->kind == JOB_STORM) {
        printf("--replay %s storm %u", life_phase_name(job->phase), job->nth);
    } else {
        sites_name(job->site, name);
        printf("--replay %s %lx %u%s (%s)", life_phase_name(job->phase), (unsigned long)job->site,
               job->nth, job->kind == JOB_DROUGHT ? "+" : "", name);
    }
}

static void end_life(size_t at, int status, bool hung)
{
    struct job *job = &jobs[at];
    char dir[NODES_PATH_SIZE];

    dir_of(at, dir);
    if (!job->failed && (!job->ended || status != 0)) {
        job->failed = true;
        snprintf(job->story, sizeof(job->story),
                 WIFSIGNALED(status) ? "ended by signal %d%s" : "ended with code %d%s",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
                 hung ? ": it hung" : "");
    }
    if (job->failed) {
        printf("FAILED ");
        show_job(job);
        printf(": %s\n", job->story);
        show_log(dir);
    }
    remove_dir(dir);
}

static void reap(unsigned count, bool wait)
{
    for (unsigned i = 0; i < count; i++) {
        int status = 0;
        if (workers[i].pid == 0) continue;
        if (waitpid(workers[i].pid, &status, WNOHANG) == workers[i].pid) {
            workers[i].pid = 0;
            end_life(workers[i].job, status, workers[i].hung);
        } else if (life_now_ms() - workers[i].since_ms > HANG_S * 1000) {
            kill(workers[i].pid, SIGKILL);
            workers[i].hung = true;
        }
    }
    if (wait) usleep(5000);
}

static bool any_running(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (workers[i].pid != 0) return true;
    return false;
}

static void run_jobs(unsigned count)
{
    while (next_job < job_count || any_running(count)) {
        if (stopped) {
            stop_lives();
            printf("stopped after %zu of %zu lives\n", next_job, job_count);
            exit(1);
        }
        for (unsigned i = 0; i < count && next_job < job_count; i++) {
            if (workers[i].pid != 0) continue;
            workers[i].job = next_job++;
            workers[i].since_ms = life_now_ms();
            workers[i].hung = false;
            workers[i].pid = begin_life(workers[i].job);
        }
        reap(count, true);
    }
}

/* ---- what is to be lived, and what came of it ---- */

static void plan(size_t counted, bool full)
{
    const struct job *job = &jobs[counted];
    uint32_t calls = 0;

    for (size_t i = 0; i < job->site_count; i++) {
        calls += job->sites[i].calls;
        for (uint32_t nth = 1; nth <= job->sites[i].calls; nth++)
            if (full || nth <= FIRST_CALLS || nth == job->sites[i].calls)
                add_job(job->phase, JOB_SITE, job->sites[i].at, nth);
    }
    for (size_t i = 0; i < job->site_count; i++)
        if (full || job->phase == LIFE_set || job->phase == LIFE_recover ||
            job->phase == LIFE_repair)
            add_job(job->phase, JOB_DROUGHT, job->sites[i].at, 1);
    if (!full || calls == 0) return;
    add_job(job->phase, JOB_STORM, 0, 1);
    for (uint32_t i = 1; i <= STORMS; i++)
        add_job(job->phase, JOB_STORM, 0, 1 + calls * i / (STORMS + 1));
}

static void show_outcomes(const unsigned outcomes[LIFE_OUTCOMES])
{
    for (unsigned i = 0; i < LIFE_OUTCOMES; i++)
        if (outcomes[i] > 0)
            printf(" %s %u", i < SHERD_OUTCOME_COUNT ? sherd_outcome_name(i) : "-ENOMEM",
                   outcomes[i]);
}

static void report_phase(enum life_phase phase)
{
    unsigned outcomes[LIFE_OUTCOMES] = {0}, lives = 0, hit = 0, bad = 0;
    size_t sites = 0, calls = 0;

    for (size_t i = 0; i < job_count; i++) {
        const struct job *job = &jobs[i];
        if (job->phase != phase) continue;
        bad += job->failed;
        if (job->kind == JOB_COUNT) {
            sites = job->site_count;
            for (size_t j = 0; j < sites; j++)
                calls += job->sites[j].calls;
            continue;
        }
        lives++;
        hit += job->hit > 0;
        for (unsigned j = 0; j < LIFE_OUTCOMES; j++)
            outcomes[j] += job->outcomes[j];
    }
    printf("%-9s %3zu sites %4zu calls %4u lives %4u met %3u failed;", life_phase_name(phase),
           sites, calls, lives, hit, bad);
    show_outcomes(outcomes);
    printf("\n");
}

static bool was_met(uintptr_t site)
{
    for (size_t i = 0; i < job_count; i++)
        if (jobs[i].kind == JOB_SITE && jobs[i].site == site && jobs[i].hit > 0) return true;
    return false;
}

static unsigned report_sites(void)
{
    uintptr_t all[ALLOC_SITES_MAX];
    size_t count = sites_list(all, ALLOC_SITES_MAX);
    unsigned missed = 0;
    char name[SITE_NAME_SIZE];

    for (size_t i = 0; i < count; i++) {
        if (was_met(all[i])) continue;
        sites_name(all[i], name);
        printf("never failed: %lx %s\n", (unsigned long)all[i], name);
        missed++;
    }
    printf("%zu sites in the product, %zu made to fail\n", count, count - missed);
    return count == 0 ? 1 : missed;
}

static int report(int only)
{
    unsigned failed = 0, missed = 0;
    uint64_t lived_ms = 0;

    for (size_t i = 0; i < job_count; i++) {
        failed += jobs[i].failed;
        lived_ms += jobs[i].lived_ms;
    }
    for (int i = 0; i < LIFE_PHASES; i++)
        if (only < 0 || only == i) report_phase((enum life_phase)i);
    if (only < 0) missed = report_sites();
    printf("%zu lives, %llu ms each, %u failed\n", job_count,
           (unsigned long long)(job_count ? lived_ms / job_count : 0), failed);
    return failed > 0 || missed > 0;
}

static int phase_of(const char *name)
{
    for (int i = 0; i < LIFE_PHASES; i++)
        if (strcmp(name, life_phase_name((enum life_phase)i)) == 0) return i;
    fprintf(stderr, "test_allocations: there is no phase %s\n", name);
    exit(2);
}

static int replay(enum life_phase phase, char **words)
{
    char dir[NODES_PATH_SIZE];

    add_job(phase,
            strcmp(words[0], "storm") == 0 ? JOB_STORM
            : strchr(words[1], '+')        ? JOB_DROUGHT
                                           : JOB_SITE,
            strtoull(words[0], NULL, 16), (uint32_t)strtoul(words[1], NULL, 10));
    dir_of(0, dir);
    if (mkdir(dir, 0700) < 0) die(dir);
    live(&jobs[0], dir);
    remove_dir(dir);
    show_job(&jobs[0]);
    printf(": %u failed;", jobs[0].hit);
    show_outcomes(jobs[0].outcomes);
    printf("\n%s\n", jobs[0].failed ? jobs[0].story : "passed");
    return jobs[0].failed;
}

static int run_all(int only, bool full, unsigned workers_count)
{
    size_t counted;

    for (int i = 0; i < LIFE_PHASES; i++)
        if (only < 0 || only == i) add_job((enum life_phase)i, JOB_COUNT, 0, 0);
    counted = job_count;
    run_jobs(workers_count);
    for (size_t i = 0; i < counted; i++)
        plan(i, full);
    printf("%zu lives\n", job_count);
    run_jobs(workers_count);
    return report(only);
}

static unsigned workers_of(const char *jobs_text)
{
    int number = jobs_text ? atoi(jobs_text) : 0;

    if (number < 1) number = 2;
    if (number > WORKERS_MAX / WORKERS_PER_JOB) number = WORKERS_MAX / WORKERS_PER_JOB;
    return (unsigned)number * WORKERS_PER_JOB;
}

struct options {
    bool full;
    int phase;     /* -1: all */
    char **replay; /* SITE CALL, or NULL */
};

static struct options parse(int argc, char **argv)
{
    struct options o = {.phase = -1};

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--full") == 0) {
            o.full = true;
        } else if (strcmp(argv[i], "--phase") == 0 && i + 1 < argc) {
            o.phase = phase_of(argv[++i]);
        } else if (strcmp(argv[i], "--replay") == 0 && i + 4 == argc) {
            o.phase = phase_of(argv[i + 1]);
            o.replay = &argv[i + 2];
            break;
        } else {
            fprintf(stderr, "usage: test_allocations [--full] [--phase NAME]\n"
                            "                        [--replay PHASE SITE CALL]\n");
            exit(2);
        }
    }
    return o;
}

int main(int argc, char **argv)
{
    struct options o = parse(argc, argv);
    int rc = 0;

    jobs = mmap(NULL, JOBS_MAX * sizeof(*jobs), PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (jobs == MAP_FAILED) die("memory");
    snprintf(root, sizeof(root), "/tmp/sherd-alloc-%d", (int)getpid());
    if (mkdir(root, 0700) < 0) die(root);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    rc = o.replay ? replay((enum life_phase)o.phase, o.replay)
                  : run_all(o.phase, o.full, workers_of(getenv("JOBS")));
    rmdir(root);
    return rc;
}
