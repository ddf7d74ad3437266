#include "tests/cluster/chaos_net.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/cluster/process.h"
#include "tests/cluster/report.h"

enum { SCRIPT_SIZE = 2048, OPERATOR = 254, URGENT = -15 };

void net_address(unsigned host, char out[NET_ADDRESS_SIZE])
{
    snprintf(out, NET_ADDRESS_SIZE, "10.77.0.%u", NET_HOST_FIRST + host);
}

static int open_own(void) { return open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC); }

static void enter(int namespace)
{
    if (setns(namespace, CLONE_NEWNET) < 0) test_fail("setns: %s", strerror(errno));
}

void net_enter(const struct net *n, unsigned host) { enter(n->inner[host]); }
void net_leave(const struct net *n) { enter(n->outer); }

void net_go_first(void) { setpriority(PRIO_PROCESS, 0, URGENT); }

pid_t net_start(const struct net *n, unsigned host, const char *name, const char *const *argv,
                const char *const *more)
{
    pid_t pid;

    net_enter(n, host);
    setpriority(PRIO_PROCESS, 0, 0);
    pid = process_start(name, argv, more);
    net_go_first();
    net_leave(n);
    return pid;
}

__attribute__((noreturn)) static void skip(const char *what, const char *why)
{
    test_say("skipped: no network namespaces here: %s: %s", what, why);
    exit(TEST_SKIPPED);
}

/* Runs a script of the shell in the namespace that we are in. Its first error, or NULL. */
static const char *run_script(const char *text)
{
    static struct process_result result;
    const char *argv[] = {"/bin/sh", "-ec", text, NULL};

    process_run(argv, &result);
    if (result.code == 0) return NULL;
    result.err[strcspn(result.err, "\n")] = '\0';
    return result.err[0] != '\0' ? result.err : "it failed";
}

/* Whatever may be missing on a machine is tried here; later than this, an error is one. */
static void make_outer(struct net *n)
{
    char script[SCRIPT_SIZE];
    const char *error;

    if (unshare(CLONE_NEWNET) < 0) skip("unshare", strerror(errno));
    n->outer = open_own();
    if (n->outer < 0) skip("/proc/self/ns/net", strerror(errno));
    snprintf(script, sizeof(script),
             "command -v ip nft >/dev/null || { echo 'ip or nft is missing' >&2; exit 1; }\n"
             "ip link set lo up\n"
             "ip link add bridge0 type bridge\n"
             "ip addr add 10.77.0.%u/24 dev bridge0\n"
             "ip link set bridge0 up\n"
             "ip link add try0 type veth peer name try1\n"
             "ip link del try0\n"
             "nft add table ip try\n"
             "nft 'add chain ip try in { type nat hook prerouting priority -100; }'\n"
             "nft delete table ip try\n",
             OPERATOR);
    error = run_script(script);
    if (error != NULL) skip("bridge, veth, nftables", error);
}

/* What a host drops, and what it hands to its proxy. */
static void make_rules(unsigned host, bool is_node, char out[SCRIPT_SIZE])
{
    char address[NET_ADDRESS_SIZE], redirect[400] = "";

    net_address(host, address);
    if (is_node)
        snprintf(redirect, sizeof(redirect),
                 "table ip proxy {\n"
                 "chain in {\n"
                 "type nat hook prerouting priority -100;\n"
                 "iifname eth0 tcp dport %u redirect to :%u;\n"
                 "iifname eth0 tcp dport %u redirect to :%u;\n"
                 "}\n}\n",
                 NET_PORT, NET_PROXY_PORT, NET_KEEPER_PORT, NET_PROXY_KEEPER_PORT);
    snprintf(out, SCRIPT_SIZE,
             "ip link set lo up\n"
             "ip addr add %s/24 dev eth0\n"
             "ip link set eth0 up\n"
             "nft -f - <<END\n"
             "table inet chaos {\n"
             "set cut { type ipv4_addr; }\n"
             "chain in {\n"
             "type filter hook input priority 0;\n"
             "ip saddr @cut drop;\n"
             "}\n}\n"
             "%s"
             "END\n",
             address, redirect);
}

static void must_run(const char *script)
{
    const char *error = run_script(script);

    if (error != NULL) test_fail("network: %s: %s", error, script);
}

static void make_host(struct net *n, unsigned host)
{
    char script[SCRIPT_SIZE];

    enter(n->outer);
    if (unshare(CLONE_NEWNET) < 0) skip("unshare", strerror(errno));
    n->inner[host] = open_own();
    if (n->inner[host] < 0) skip("/proc/self/ns/net", strerror(errno));
    enter(n->outer);
    /* The namespace is handed to `ip` as a file of our process. */
    snprintf(script, sizeof(script),
             "ip link add host%u type veth peer name eth0 netns /proc/%ld/fd/%d\n"
             "ip link set host%u master bridge0\n"
             "ip link set host%u up\n",
             host, (long)getpid(), n->inner[host], host, host);
    must_run(script);
    enter(n->inner[host]);
    make_rules(host, host < n->nodes, script);
    must_run(script);
    enter(n->outer);
}

void net_make(struct net *n, unsigned hosts, unsigned nodes)
{
    TEST_CHECK(hosts <= NET_HOSTS_MAX && nodes <= hosts);
    *n = (struct net){.hosts = hosts, .nodes = nodes};
    make_outer(n);
    for (unsigned i = 0; i < hosts; i++)
        make_host(n, i);
}

/* ---- Cuts ---- */

static void change(struct net *n, uint32_t from, uint32_t to, int by)
{
    for (unsigned i = 0; i < n->hosts; i++)
        for (unsigned j = 0; j < n->hosts; j++)
            if (i != j && (from >> i & 1) && (to >> j & 1))
                n->cuts[i][j] = (uint8_t)(n->cuts[i][j] + by);
}

void net_cut(struct net *n, uint32_t from, uint32_t to) { change(n, from, to, 1); }
void net_mend(struct net *n, uint32_t from, uint32_t to) { change(n, from, to, -1); }

void net_mend_all(struct net *n)
{
    memset(n->cuts, 0, sizeof(n->cuts));
    net_apply(n);
}

static bool differs(const struct net *n, unsigned to)
{
    for (unsigned from = 0; from < n->hosts; from++)
        if (n->applied[from][to] != (n->cuts[from][to] > 0)) return true;
    return false;
}

static void apply_host(struct net *n, unsigned to)
{
    char script[SCRIPT_SIZE], address[NET_ADDRESS_SIZE];
    size_t size = (size_t)snprintf(script, sizeof(script), "nft 'flush set inet chaos cut");
    const char *error;

    for (unsigned from = 0; from < n->hosts; from++) {
        n->applied[from][to] = n->cuts[from][to] > 0;
        if (!n->applied[from][to]) continue;
        net_address(from, address);
        size += (size_t)snprintf(script + size, sizeof(script) - size,
                                 "; add element inet chaos cut { %s }", address);
    }
    snprintf(script + size, sizeof(script) - size, "'");
    net_enter(n, to);
    error = run_script(script);
    net_leave(n);
    if (error != NULL) test_fail("nft for host %u: %s", to, error);
}

void net_apply(struct net *n)
{
    for (unsigned to = 0; to < n->hosts; to++)
        if (differs(n, to)) apply_host(n, to);
}
