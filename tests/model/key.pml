/* key.pml - one key on NODES nodes: the commit protocol (coord/PROTOCOL.md), for exhaustive search.
 *
 * Processes and choices are Promela; what a step computes is C (key.h), which has a counterpart in
 * coord/ for every function. Macros choose the configuration; run.sh names them:
 *   NODES, SHARDS            the code: NODES nodes, any SHARDS shards rebuild a value
 *   BALLOTS               ballots 1..BALLOTS; B1, B2: the last of epoch 1 and of epoch 2 (WIPE)
 *   SETS CASES CASPS GETS   how many clients of each kind: set, compare-and-set at once,
 *                   compare-and-set by PROMISE first, get
 *   TRIES           attempts of a set or a compare-and-set; ROUNDS: of a Finish; REREADS: of a get
 *   WIPE            node NODES-1 loses its state once, at any time
 *   AUDIT           in every state: whoever finishes now, with any q nodes, decides rightly
 *   NOSYM           nodes keep their places (else states that differ in their order are one)
 *   BREAK_x         a planted mistake
 *
 * Sets of nodes and sets of ballots are bytes: bit i is node i, bit b ballot b; ballot 0 is none.
 * See README.md for what is abstracted. */

#define CLIENTS (SETS + CASES + CASPS + GETS)

#define WAIT 0     /* verdicts of choose.c; WAIT stands for LOST, too */
#define COMPLETE 1
#define POSSIBLE 2

#define SET 1
#define CAS 2
#define CASP 3
#define GET 4

/* What a node keeps (record.h, partition.h). Bounds are 0 where floor or entries imply them. */
byte nprom[NODES], nref[NODES];            /* promised, refused */
byte nhold[NODES], ncom[NODES], nshown[NODES]; /* entries; committed; undecided and shown */
byte nep[NODES];                       /* epoch sealed into; 0: new memory, no map yet */

/* What a ballot carries, the same to every node. */
byte ver[BALLOTS + 1], exp[BALLOTS + 1]; /* version; what is expected, or a Finish chose */
byte used, cond, oneshot, outv, tomb; /* sets of ballots; tomb: versions without a value */

/* Messages on their way: bit i of x[b] is the one to node i. Nothing forces them to arrive. */
byte pend[BALLOTS + 1], cpend[BALLOTS + 1], apend[BALLOTS + 1]; /* PREPARE COMMIT ABORT */
byte cep[BALLOTS + 1];                   /* the epoch that the COMMIT names */
byte acks[BALLOTS + 1], dead[BALLOTS + 1];     /* answers to PREPARE and ABORT: writer.c */
byte lst, lsa;                     /* ballots whose client still listens; ... to ACKs, too */

/* The keeper's map. */
byte mep = 1, live = 1;            /* newest epoch, and the newest that is live */
byte rebuilt;

/* The observer: versions in the order that the clients' history demands. */
byte done;          /* versions that some finished operation wrote or read */
byte gone;          /* versions of which "nothing changed" was said */
byte iscas;         /* versions written by a compare-and-set, over exp[version] */
byte aft[BALLOTS + 1];    /* versions that must come after this one */
byte bw[BALLOTS + 1];     /* what was done when the write of this version began */
byte running = CLIENTS;
byte bad;           /* a step found a violation */

typedef op {        /* a client and its one operation */
    byte kind, ce, prior, low;      /* epoch of its map; done before; ballots are above `low` */
    byte b, att, expect;            /* ballot in use; own attempt that may be alive; version read */
    byte tries, rounds, rereads;
    byte pw;                        /* PROMISE for an own write: promise_write */
    byte version;                   /* that stands, after a Finish */
    byte heard, fcom, fh[BALLOTS + 1]; /* answers: nodes; ballots seen committed; who shows b */
    byte vd, seen, stl, abv         /* what choose() says of them */
}
op cl[CLIENTS + 1];                 /* the last: the node that rebuilds */
#define KEEPER CLIENTS

c_code {
\#include "key.h"
}

#define DO(what) c_code { what; }; assert(bad == 0)
#define ME cl[me]

/* A ballot of the epoch above `low` that nobody has; 0: none is left. */
inline pick()
{
    if
    :: c_expr { IS_FREE_1 } -> ME.b = 1
    :: c_expr { IS_FREE_2 } -> ME.b = 2
    :: c_expr { IS_FREE_3 } -> ME.b = 3
    :: c_expr { IS_FREE_4 } -> ME.b = 4
    :: c_expr { IS_FREE_5 } -> ME.b = 5
    :: c_expr { IS_FREE_6 } -> ME.b = 6
    :: c_expr { IS_FREE_7 } -> ME.b = 7
    :: c_expr { IS_NONE_FREE } -> ME.b = 0
    fi;
    c_code { take(Pclient->me); }
}

inline renew() /* a newer map: when a node says STALE, or before */
{
    if
    :: mep > ME.ce -> ME.ce = mep; ME.low = 0
    :: true
    fi
}

/* How many NACKs the writer knows of is up to chance: they may still be on their way. */
inline send_abort()
{
    if
    :: c_code { send_abort(Pclient->me, 0); }
    :: c_expr { IS_OUTVOTED } -> c_code { send_abort(WHO, 1); }
    fi
}

#define READ_FROM(i) \
    :: d_step { c_expr { CAN_READ_##i } -> c_code { read_from(WHO, i); } }
#define PROMISE_OF(i) \
    :: d_step { c_expr { CAN_PROMISE_##i } -> c_code { promise_of(WHO, i); } }
#if NODES > 3
#define EACH(x) x(0) x(1) x(2) x(3)
#else
#define EACH(x) x(0) x(1) x(2)
#endif

proctype client(byte me)
{
    atomic {
        ME.ce = 1; ME.tries = TRIES; ME.rounds = ROUNDS; ME.rereads = REREADS;
        ME.prior = done;
        if
        :: ME.kind == SET -> goto writing
        :: else -> goto reading
        fi
    };

reading: /* reader.c, operation_read.c */
    do
    EACH(READ_FROM)
    :: atomic { ME.vd == COMPLETE && ME.kind == GET -> DO(return_value(Pclient->me)); goto over }
    :: atomic { ME.vd == COMPLETE && ME.kind != GET ->
            c_code { expect_it(Pclient->me); }; goto writing }
    :: atomic { ME.vd == POSSIBLE -> goto promising }
    :: d_step { ME.rereads > 0 && c_expr { MAY_REREAD } ->
            ME.rereads--; c_code { forget(&now.cl[Pclient->me]); } }
    :: d_step { mep > ME.ce -> ME.ce = mep; ME.low = 0; c_code { forget(&now.cl[Pclient->me]); } }
    :: atomic { c_expr { IS_STUCK } -> goto over }
    od;

writing: /* operation_write.c */
    atomic {
        renew();
        if
        :: ME.tries == 0 -> goto over
        :: else -> ME.tries--
        fi;
        pick();
        if
        :: ME.b == 0 -> goto over
        :: ME.b != 0 && ME.kind == CASP -> c_code { send_promise(Pclient->me, 1); }; goto asked
        :: else -> c_code { begin_write(Pclient->me, now.cl[Pclient->me].kind == 2); }
        fi
    };
waiting: /* writer.c */
    if
    :: atomic { c_expr { IS_COMPLETE } -> DO(written(WHO)); goto over }
    :: atomic { send_abort() }
    fi;
#ifdef BREAK_retry_without_abort
    atomic { DO(say_nothing_changed(Pclient->me, 1)); goto again };
#endif
    if
    :: atomic { c_expr { IS_PROVED_DEAD } -> DO(say_nothing_changed(WHO, 0)) }
    :: atomic { c_code { deaf(Pclient->me); }; goto promising } /* exposed, or no proof in time */
    fi;
again:
    atomic {
        if
        :: ME.kind == SET -> goto writing
        :: else -> goto reading
        fi
    };

promising: /* finisher.c, operation_finish.c */
    atomic {
        renew();
        c_code { prepare_promise(Pclient->me); };
        if
        :: ME.rounds == 0 -> goto over
        :: else -> ME.rounds--
        fi;
        pick();
        if
        :: ME.b == 0 -> goto over
        :: else -> c_code { send_promise(Pclient->me, 0); }
        fi
    };
asked:
    do
    EACH(PROMISE_OF)
    :: atomic { ME.vd != WAIT -> break }
    :: atomic { true -> goto promising } /* NACKed, or not in time */
    od;
    atomic {
        c_code { on_promised(Pclient->me); };
        if
        :: c_expr { IS_WRITE_AT } -> c_code { begin_write(WHO, 0); }; goto waiting
        :: c_expr { IS_CLEAN } -> goto decided
        :: c_expr { IS_DIRTY } ->
            c_code { propose(Pclient->me); }
        fi
    };
    if
    :: atomic { c_expr { IS_COMPLETE } -> c_code { proposed(WHO); } }
    :: atomic { send_abort(); c_code { deaf(Pclient->me); }; goto promising }
    fi;

decided: /* after_finish */
    atomic {
        if
        :: ME.att == 0 && ME.kind == GET -> DO(return_version(Pclient->me)); goto over
        :: ME.att == 0 && ME.kind != GET -> c_code { forget(&now.cl[Pclient->me]); }; goto reading
        :: ME.att != 0 && ME.version == ME.att -> DO(finished_own(Pclient->me)); goto over
        :: c_expr { IS_BURIED } -> DO(say_nothing_changed(WHO, 2)); goto again
        :: c_expr { IS_UNCERTAIN } -> goto over
        fi
    };

over:
    atomic { c_code { end(Pclient->me); } }
}

/* The network delivers to anybody what is on its way; what never arrives was lost. */
#ifdef AUDIT
#define WATCHED true
#else
#define WATCHED running > 0 /* what comes after the last operation, nobody sees */
#endif
#define ARRIVE(b) \
    :: d_step { WATCHED && ((pend[b] >> me) & 1) -> DO(on_prepare(Pnode->me, b)) } \
    :: d_step { WATCHED && ((cpend[b] >> me) & 1) -> DO(on_commit(Pnode->me, b)) } \
    :: d_step { WATCHED && ((apend[b] >> me) & 1) -> DO(on_abort(Pnode->me, b)) }

proctype node(byte me)
{
end:
    do
    ARRIVE(1)
#if BALLOTS >= 2
    ARRIVE(2)
#endif
#if BALLOTS >= 3
    ARRIVE(3)
#endif
#if BALLOTS >= 4
    ARRIVE(4)
#endif
#if BALLOTS >= 5
    ARRIVE(5)
#endif
#if BALLOTS >= 6
    ARRIVE(6)
#endif
#if BALLOTS >= 7
    ARRIVE(7)
#endif
    od
}

#ifdef WIPE
/* partition.c, seal.c, succession.c, server/pass.c. The keeper knows what is so, at once: a late
 * keeper is one that takes its step later. */
#define SEAL(i) :: d_step { nep[i] < mep -> c_code { seal(i); } }
#define LIST(i) :: d_step { c_expr { CAN_LIST_##i } -> c_code { list_of(i); } }

proctype keeper()
{
end_whole:
    d_step { WATCHED -> c_code { lose(); } };
end:
    do
    EACH(SEAL)
    EACH(LIST)
    :: d_step { c_expr { CAN_BE_LIVE } -> live = mep }
    :: d_step { c_expr { CAN_REBUILD } -> c_code { rebuild(); } }
    :: d_step { rebuilt && mep == 2 -> mep = 3 } /* admitted */
    od
}
#endif

#ifdef AUDIT
/* In every state: everybody stops, and somebody finishes. Changes nothing. */
proctype auditor()
{
end:
    do
    :: d_step { WATCHED -> DO(audit()) }
    od
}
#endif

init
{
    byte i;

    atomic {
        for (i : 0 .. NODES - 1) { nep[i] = 1; run node(i) }
#ifdef AUDIT
        run auditor();
#endif
#ifdef WIPE
        run keeper();
#endif
        for (i : 0 .. CLIENTS - 1) {
            if
            :: i < GETS -> cl[i].kind = GET
            :: i >= GETS && i < GETS + CASES -> cl[i].kind = CAS
            :: i >= GETS + CASES && i < GETS + CASES + CASPS -> cl[i].kind = CASP
            :: else -> cl[i].kind = SET
            fi;
            run client(i)
        };
        i = 0
    }
}
