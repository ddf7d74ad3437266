/* key.pml - one key on n nodes: the commit protocol (coord/PROTOCOL.md) for exhaustive search.
 *
 * Macros choose the configuration; run.sh names them:
 *   N, K            the code: n nodes, any k shards rebuild a value
 *   B               ballots 1..B; B1, B2: the last of epoch 1 and of epoch 2 (WIPE)
 *   SETS CASES CASPS GETS   how many clients of each kind: set, compare-and-set at once,
 *                   compare-and-set by PROMISE first, get
 *   TRIES           attempts of a set or a compare-and-set; ROUNDS: of a Finish; REREADS: of a get
 *   WIPE            node n-1 loses its state once, at any time
 *   AUDIT           in every state: whoever finishes now, with any q nodes, decides, and rightly
 *   BREAK_x         a planted mistake
 *
 * Sets of nodes and sets of ballots are bytes: bit i is node i, bit b is ballot b. Ballot 0 is none.
 * See README.md for what is abstracted, and where each part lives in coord/. */

#ifndef N
#define N 3
#define K 1
#endif
#ifndef B
#define B 4
#endif
#ifndef SETS
#define SETS 0
#endif
#ifndef CASES
#define CASES 0
#endif
#ifndef CASPS
#define CASPS 0
#endif
#ifndef GETS
#define GETS 0
#endif
#ifndef TRIES
#define TRIES 1
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef REREADS
#define REREADS 0
#endif

/* --- quorum.h */
#define BIT(x) (1 << (x))
#define HAS(set, x) (((set) >> (x)) & 1)
#define BELOW(b) (BIT(b) - 1)
#define CNT(m) (((m) & 1) + (((m) >> 1) & 1) + (((m) >> 2) & 1) + (((m) >> 3) & 1))
#define MAX(a, b) ((a) > (b) -> (a) : (b))
#define QOF(n) (((n) + K + 1) / 2)
#define ROF(n) MAX(K, (n) - QOF(n) + 1)
#ifdef BREAK_slow_fast
#define FOF(n) QOF(n)
#else
#define FOF(n) MAX(QOF(n), 2 * ((n) - QOF(n)) + 1)
#endif
#define TOP(m) (HAS(m, 7) -> 7 : (HAS(m, 6) -> 6 : (HAS(m, 5) -> 5 : (HAS(m, 4) -> 4 : \
    (HAS(m, 3) -> 3 : (HAS(m, 2) -> 2 : (HAS(m, 1) -> 1 : 0)))))))

/* --- map.h: who votes in which epoch. Node W is lost once: epoch 1 had it, in epoch 2 it learns, in
 * epoch 3 it votes again. SAME(e, x): voters of x whose memory, as the map of e says, is the one
 * that they voted with. */
#define ALL BELOW(N)
#define W (N - 1)
#ifdef WIPE
#define EP(b) ((b) <= B1 -> 1 : ((b) <= B2 -> 2 : 3))
#define FLOOR(e) ((e) <= 1 -> 0 : ((e) == 2 -> B1 : B2)) /* the last ballot of the epoch before */
#define VOTERS(e) ((e) == 2 -> BELOW(N - 1) : ALL)
#define NV(e) ((e) == 2 -> N - 1 : N)
#define SAME(e, x) ((e) > 1 && (x) < 3 -> BELOW(N - 1) : ALL)
#define SERVES(i, e) (nep[i] == (e) && live >= (e))
#else
#define EP(b) 1
#define FLOOR(e) 0
#define VOTERS(e) ALL
#define NV(e) N
#define SAME(e, x) ALL
#define SERVES(i, e) true
#endif
#ifdef BREAK_count_learners
#define COUNTED(e) ALL
#else
#define COUNTED(e) VOTERS(e)
#endif

/* --- what a node keeps: record.h, participant.c */
byte nprom[N], nref[N];           /* promised, refused: 0 where the floor or an entry says as much */
byte nhold[N], ncom[N], nshown[N]; /* entries; which are committed; which undecided ones were shown */
#ifdef WIPE
byte nep[N];                      /* epoch sealed into; 0: new memory, no map yet */
byte mep = 1, live = 1;           /* the keeper's newest map, and the newest epoch that is live */
bool wiped, rebuilt;
#endif

/* --- what a ballot carries, the same to every node */
byte ver[B + 1], exp[B + 1];      /* version; expected version, or the ballot that a Finish chose */
byte used, cond, oneshot, outv, tomb; /* sets of ballots; tomb: versions without a value */

/* --- messages on their way: bit i of x[b] is the one to node i. Nothing forces them to arrive. */
byte pend[B + 1], cpend[B + 1], apend[B + 1], ppend[B + 1]; /* PREPARE COMMIT ABORT PROMISE */
#ifdef WIPE
byte cep[B + 1];                  /* the epoch that the COMMIT names */
#define CEP(b) cep[b]
#else
#define CEP(b) 1
#endif
byte acks[B + 1], dead[B + 1];    /* answers to PREPARE and ABORT; writer.c */
byte lst;                         /* ballots whose client still listens to them */

/* --- the observer: versions in the order that the clients' history demands */
byte done;          /* versions that some finished operation wrote or read */
byte gone;          /* versions of which "nothing changed" was said */
byte iscas;         /* versions written by a compare-and-set, over exp[version] */
byte aft[B + 1];    /* versions that must come after this one */
byte bw[B + 1];     /* what was done when the write of this version began */

#define VAL(v) (HAS(tomb, v) -> 0 : (v))

/* Scratch: set and used within one step. */
hidden byte t_, u_, v_, w_, x_, y_, z_, st_, hx_, need_, cnt_, unk_, fr_, sh_;
hidden byte late_, stays_, exposed_, more_;
hidden byte gaft[B + 1], gdone; /* the auditor's copy of the order */

mtype = { WAIT, COMPLETE, POSSIBLE, SKIP, UNCLEAR }; /* choose.c */
mtype = { SET, CAS, CASP, GET };

/* Adds that version y_ was observed, and that all of z_ were before; is there still an order? */
inline order()
{
    assert(!HAS(gone, y_)); /* said to have changed nothing */
    u_ = z_ | bw[y_];
    if
    :: HAS(iscas, y_) -> u_ = u_ | BIT(VAL(exp[y_])); done = done | BIT(VAL(exp[y_]))
    :: else
    fi;
    done = done | BIT(y_) | 1;
    aft[0] = (aft[0] | done) & ~1;
    v_ = 0;
    do
    :: v_ <= B ->
        if
        :: HAS(u_, v_) && v_ != y_ -> aft[v_] = aft[v_] | BIT(y_)
        :: else
        fi;
        v_++
    :: else -> break
    od;
    more_ = true;
    do
    :: more_ ->
        more_ = false;
        v_ = 0;
        do
        :: v_ <= B ->
            t_ = aft[v_];
            x_ = 0;
            do
            :: x_ <= B ->
                if
                :: HAS(aft[v_], x_) -> aft[v_] = aft[v_] | aft[x_]
                :: else
                fi;
                /* nothing between a compare-and-set and the version that it replaced */
                if
                :: HAS(iscas & done, x_) && VAL(exp[x_]) == v_ && HAS(aft[v_], x_) ->
                    sh_ = aft[v_] & ~BIT(x_);
                    if
                    :: (aft[x_] | sh_) != aft[x_] -> aft[x_] = aft[x_] | sh_; more_ = true
                    :: else
                    fi
                :: HAS(iscas & done, x_) && VAL(exp[x_]) != v_ && HAS(aft[v_], x_) ->
                    aft[v_] = aft[v_] | BIT(VAL(exp[x_]))
                :: else
                fi;
                x_++
            :: else -> break
            od;
            if
            :: t_ != aft[v_] -> more_ = true
            :: else
            fi;
            assert(!HAS(aft[v_], v_)); /* linearizable */
            v_++
        :: else -> break
        od
    :: else -> break
    od
}

/* --- participant.c */
#ifdef WIPE
#define FLOOR_OF(i) FLOOR(nep[i])
#else
#define FLOOR_OF(i) 0
#endif

inline tidy(i)
{
    if
    :: nref[i] <= TOP(nhold[i]) || nref[i] <= FLOOR_OF(i) -> nref[i] = 0
    :: else
    fi;
    if
    :: nprom[i] <= FLOOR_OF(i) -> nprom[i] = 0
    :: else
    fi
}

inline keep(i, mask)
{
    nhold[i] = nhold[i] & (mask);
    ncom[i] = ncom[i] & nhold[i];
    nshown[i] = nshown[i] & nhold[i] & ~ncom[i]
}

#define PASSED(i, b) ((b) <= nref[i] || (b) <= FLOOR_OF(i) || (nhold[i] >> (b)) != 0)

inline heard_ack(i, b)
{
    if
    :: HAS(lst, b) -> acks[b] = acks[b] | BIT(i)
    :: else
    fi
}

inline heard_dead(i, b)
{
    if
    :: HAS(lst, b) -> dead[b] = dead[b] | BIT(i)
    :: else
    fi
}

inline on_prepare(i, b)
{
    pend[b] = pend[b] & ~BIT(i); /* a PREPARE arrives at most once */
#ifdef BREAK_accept_stale
    late_ = false;
#else
    late_ = (b) < nprom[i] || PASSED(i, b);
#endif
    if
    :: !SERVES(i, EP(b)) -> heard_dead(i, b) /* STALE */
    :: SERVES(i, EP(b)) && late_ -> heard_dead(i, b)
    :: else ->
        if
        :: HAS(oneshot, b) -> /* is_spare */
            keep(i, ncom[i] | BELOW(exp[b] + 1) | ~BELOW(b))
        :: else
        fi;
        t_ = TOP(nhold[i]);
        if
#ifndef BREAK_no_expect
        :: HAS(cond, b) && t_ != 0 && ver[t_] != exp[b] && t_ >= exp[b] -> /* meets_expect */
            nref[i] = MAX(nref[i], b);
            heard_dead(i, b)
#endif
        :: else -> nhold[i] = nhold[i] | BIT(b); heard_ack(i, b)
        fi;
        tidy(i)
    fi
}

inline on_commit(i, b)
{
    cpend[b] = cpend[b] & ~BIT(i);
    if
    :: SERVES(i, CEP(b)) && HAS(nhold[i], b) ->
        ncom[i] = ncom[i] | BIT(b);
        keep(i, ~BELOW(b))
#ifdef BREAK_commit_drops
    :: SERVES(i, CEP(b)) && !HAS(nhold[i], b) ->
        keep(i, ~BELOW(b))
#endif
    :: else
    fi
}

inline on_abort(i, b)
{
    apend[b] = apend[b] & ~BIT(i);
    stays_ = HAS(nhold[i] & ncom[i], b);
    exposed_ = stays_;
    if
    :: HAS(outv, b) /* may_have_been_read */
#ifndef BREAK_forget_shown
    :: !HAS(outv, b) && HAS(nhold[i], b) && HAS(nshown[i], b) -> exposed_ = true
#endif
#ifndef BREAK_forget_overtaken
    :: !HAS(outv, b) && !HAS(nhold[i], b) && b < TOP(ncom[i]) -> exposed_ = true
#endif
    :: else
    fi;
#ifndef BREAK_forget_exposure
    if
    :: nprom[i] > b || FLOOR_OF(i) >= b -> exposed_ = true
    :: else
    fi;
#endif
    if
    :: SERVES(i, EP(b)) ->
        nref[i] = MAX(nref[i], b);
        if
        :: !stays_ && (!exposed_ || HAS(outv, b)) -> keep(i, ~BIT(b))
        :: else
        fi;
        if
        :: !exposed_ -> heard_dead(i, b)
        :: else
        fi;
        tidy(i)
    :: else /* STALE proves nothing */
    fi
}

/* on_promise without its answer; st_ says whether it was promised. */
inline on_promise(i, b)
{
    ppend[b] = ppend[b] & ~BIT(i);
    st_ = SERVES(i, EP(b)) && b >= nprom[i] && !PASSED(i, b);
#ifndef BREAK_forget_promise
    if
    :: st_ -> nprom[i] = b
    :: else
    fi
#endif
}

/* --- choose.c. Arguments: fh[b] nodes that show b, fcom ballots seen committed, `heard`, ce. */
#ifdef WIPE
inline fresh(since)
{
    fr_ = true;
#ifdef BREAK_forget_old_epochs
    u_ = ce;
#else
    u_ = MAX(since, 1);
#endif
    do
    :: u_ <= ce ->
        if
        :: CNT(heard & SAME(ce, u_) & VOTERS(u_)) <
               (u_ == ce -> ROF(NV(u_)) : NV(u_) - QOF(NV(u_)) + 1) -> fr_ = false
        :: else
        fi;
        u_++
    :: else -> break
    od
}
#else
inline fresh(since) { fr_ = CNT(heard) >= ROF(N) }
#endif

inline standing(b)
{
    x_ = EP(b);
    hx_ = heard & SAME(ce, x_) & COUNTED(x_);
    need_ = (HAS(cond, b) -> FOF(NV(x_)) : QOF(NV(x_)));
    cnt_ = CNT(fh[b] & hx_);
#ifdef BREAK_old_epoch_all_heard
    unk_ = CNT(VOTERS(ce) & ~heard);
#else
    unk_ = NV(x_) - CNT(heard & SAME(ce, x_) & VOTERS(x_));
#endif
    fresh(x_);
    if
    :: HAS(fcom, b) -> st_ = (fr_ -> COMPLETE : UNCLEAR)
    :: !HAS(fcom, b) && cnt_ + unk_ < need_ -> st_ = SKIP
    :: else ->
        if
        :: !fr_ -> st_ = UNCLEAR
        :: fr_ && cnt_ >= need_ -> st_ = COMPLETE
#ifdef BREAK_ignore_pending
        :: fr_ && cnt_ < need_ -> st_ = SKIP
#else
        :: fr_ && cnt_ < need_ ->
#ifdef BREAK_guess_conditional
            st_ = POSSIBLE
#else
            st_ = (HAS(cond, b) && NV(x_) - QOF(NV(x_)) + unk_ >= need_ -> UNCLEAR : POSSIBLE)
#endif
#endif
        fi
    fi
}

/* Results: vd, seen (0: no value), abv, stl. WAIT stands for LOST, too. */
inline choose()
{
    vd = WAIT; seen = 0; abv = false; stl = 0;
    fresh(ce);
    if
    :: fr_ ->
        w_ = B;
        do
        :: w_ >= 1 && fh[w_] == 0 -> w_--
        :: w_ >= 1 && fh[w_] != 0 ->
            standing(w_);
            if
            :: st_ == SKIP -> abv = true; w_--
            :: else -> break
            fi
        :: w_ == 0 -> break
        od;
        seen = w_;
        if
        :: w_ == 0 ->
            fresh(0);
            vd = (fr_ -> COMPLETE : WAIT)
        :: w_ != 0 && st_ != UNCLEAR ->
            sh_ = 0;
            v_ = 1;
            do
            :: v_ <= B && ver[v_] == ver[w_] -> sh_ = sh_ | fh[v_]; v_++
            :: v_ <= B && ver[v_] != ver[w_] -> v_++
            :: v_ > B -> break
            od;
            if
            :: CNT(sh_) >= K || HAS(tomb, ver[w_]) ->
                vd = st_;
                do
                :: st_ == COMPLETE -> stl = w_; break
                :: st_ != COMPLETE && w_ > 1 ->
                    w_--;
                    if
                    :: fh[w_] != 0 -> standing(w_)
                    :: else
                    fi
                :: st_ != COMPLETE && w_ <= 1 -> break
                od
            :: else
            fi
        :: else
        fi
    :: else
    fi
}

inline fold(i)
{
    heard = heard | BIT(i);
    fcom = fcom | ncom[i];
    v_ = 1;
    do
    :: v_ <= B ->
        if
        :: HAS(nhold[i], v_) -> fh[v_] = fh[v_] | BIT(i)
        :: else
        fi;
        v_++
    :: else -> break
    od
}

inline forget()
{
    heard = 0; fcom = 0; vd = WAIT; seen = 0; abv = false; stl = 0;
    v_ = 0;
    do
    :: v_ <= B -> fh[v_] = 0; v_++
    :: else -> break
    od;
    v_ = 0 /* a d_step must not end in a jump */
}

/* --- operation*.c, writer.c, reader.c, finisher.c: one client, one operation */
#ifdef WIPE
#define HOLDERS(e) ALL
#define CURRENT(b) cep[b] = ce;
#define RENEW ce = mep
#define IS_STALE (mep > ce)
#else
#define HOLDERS(e) ALL
#define CURRENT(b)
#define RENEW ce = 1
#define IS_STALE false
#endif

#ifdef WIPE
#define OUT_OF_TIME vd != COMPLETE && vd != POSSIBLE
#else
#define OUT_OF_TIME vd != COMPLETE && vd != POSSIBLE && heard == ALL && rereads == 0
#endif

#define FREE(x) (x <= B && !HAS(used, x) && x > low && EP(x) == ce)

/* A ballot of the epoch above `low` that nobody has; 0: none is left. */
inline pick()
{
    if
    :: FREE(1) -> b = 1
    :: FREE(2) -> b = 2
    :: FREE(3) -> b = 3
    :: FREE(4) -> b = 4
    :: FREE(5) -> b = 5
    :: FREE(6) -> b = 6
    :: FREE(7) -> b = 7
    :: else -> b = 0
    fi;
    if
    :: b != 0 -> used = used | BIT(b); low = b
    :: else
    fi
}

inline send_prepare()
{
    pend[b] = HOLDERS(ce);
    lst = lst | BIT(b)
}

inline deaf()
{
    lst = lst & ~BIT(b);
    acks[b] = 0;
    dead[b] = 0
}

inline send_commit(c)
{
    cpend[c] = HOLDERS(ce);
    CURRENT(c)
}

/* What is known of the writer's NACKs is up to chance: their answers may still be on their way. */
inline send_abort()
{
    apend[b] = HOLDERS(ce) & ~dead[b];
    if
    :: true
    :: NV(ce) - CNT(dead[b] & VOTERS(ce)) < need_ -> outv = outv | BIT(b)
    fi
}

inline say_nothing_changed()
{
    assert(!HAS(done, att));
    gone = gone | BIT(att);
    att = 0
}

#define NEED (HAS(cond, b) -> FOF(NV(ce)) : QOF(NV(ce)))
#ifdef BREAK_no_burial
#define NEEDS_BURIAL false
#else
#define NEEDS_BURIAL (att != 0 && version != att && seen < att)
#endif
#ifdef BREAK_dead_too_soon
#define FEW (2 * QOF(NV(ce)) - NV(ce))
#else
#define FEW K
#endif
#define READ_FROM(i) i < N && !HAS(heard, i) && SERVES(i, ce)
#define PROMISE_OF(i) i < N && HAS(ppend[b], i)

inline read_from(i)
{
    nshown[i] = nshown[i] | (nhold[i] & ~ncom[i]);
    fold(i);
    low = MAX(low, TOP(nhold[i]));
    if
    :: CNT(heard & VOTERS(ce)) >= ROF(NV(ce)) -> choose()
    :: else
    fi
}

inline promise_of(i)
{
    on_promise(i, b);
    if
    :: st_ ->
        fold(i);
        if
        :: CNT(heard & VOTERS(ce)) >= QOF(NV(ce)) -> choose()
        :: else
        fi
    :: else
    fi
}

inline begin_write(c)
{
    att = b;
    ver[b] = b;
    bw[b] = prior;
    if
    :: kind != SET -> iscas = iscas | BIT(b); exp[b] = expect
    :: else
    fi;
    if
    :: c -> cond = cond | BIT(b)
    :: else
    fi;
    send_prepare()
}

proctype client(mtype kind)
{
    byte ce = 1, prior, low;       /* epoch of the map held; done before; ballots are above `low` */
    byte b, att, expect;           /* ballot in use; own attempt that may be alive; version read */
    byte tries = TRIES, rounds = ROUNDS, rereads = REREADS;
    bool pw;                       /* PROMISE for an own write: promise_write */
    byte heard, fcom, fh[B + 1], seen, stl, version;
    bool abv;
    mtype vd = WAIT;

    atomic {
        prior = done;
        if
        :: kind == SET -> goto writing
        :: else -> goto reading
        fi
    };

reading:
    do
    :: d_step { READ_FROM(0) -> read_from(0) }
    :: d_step { READ_FROM(1) -> read_from(1) }
    :: d_step { READ_FROM(2) -> read_from(2) }
#if N > 3
    :: d_step { READ_FROM(3) -> read_from(3) }
#endif
    :: atomic { vd == COMPLETE ->
            version = (seen -> ver[seen] : 0);
            if
            :: d_step { kind == GET -> y_ = VAL(version); z_ = prior; order(); forget() }; skip; goto over
            :: d_step { kind != GET -> expect = version; forget() }; skip; goto writing
            fi }
    :: atomic { vd == POSSIBLE -> goto promising }
    :: d_step { rereads > 0 && (vd == POSSIBLE || heard == HOLDERS(ce)) -> rereads--; forget() }
    :: d_step { IS_STALE -> RENEW; low = 0; forget() }
    :: atomic { OUT_OF_TIME -> goto over }
    od;

writing:
    atomic {
        if
        :: IS_STALE -> RENEW; low = 0
        :: true
        fi;
        if
        :: tries == 0 -> goto over
        :: else -> tries--
        fi;
        pick();
        if
        :: b == 0 -> goto over
        :: b != 0 && kind == CASP -> pw = true; ppend[b] = HOLDERS(ce); goto asked
        :: else -> d_step { begin_write(kind == CAS) }
        fi
    };
waiting:
    if
    :: atomic { CNT(acks[b] & COUNTED(ce)) >= NEED ->
            d_step { send_commit(b); deaf(); y_ = att; z_ = prior; order(); att = 0 }; skip;
            goto over }
    :: atomic { need_ = NEED; send_abort() }
    fi;
#ifdef BREAK_retry_without_abort
    atomic { deaf(); say_nothing_changed(); apend[b] = 0; goto again };
#endif
    if
    :: atomic { CNT(HOLDERS(ce) & ~dead[b]) < FEW ->
            deaf();
            say_nothing_changed() }
    :: atomic { true -> deaf(); goto promising } /* exposed, or no proof in time */
    fi;
again:
    if
    :: kind == SET -> goto writing
    :: else -> goto reading
    fi;

promising: /* finisher.c */
    atomic {
        if
        :: IS_STALE -> RENEW; low = 0
        :: true
        fi;
        d_step { forget(); low = MAX(low, att) };
        if
        :: rounds == 0 -> goto over
        :: else -> rounds--
        fi;
        pick();
        if
        :: b == 0 -> goto over
        :: else -> ppend[b] = HOLDERS(ce)
        fi
    };
asked:
    do
    :: d_step { PROMISE_OF(0) -> promise_of(0) }
    :: d_step { PROMISE_OF(1) -> promise_of(1) }
    :: d_step { PROMISE_OF(2) -> promise_of(2) }
#if N > 3
    :: d_step { PROMISE_OF(3) -> promise_of(3) }
#endif
    :: atomic { vd == COMPLETE || vd == POSSIBLE -> break }
    :: atomic { true -> goto promising } /* NACKed, or not in time */
    od;
    atomic {
        version = (seen -> ver[seen] : 0);
        if
        :: pw && att == 0 && version == expect ->
            d_step { pw = false; begin_write(false); forget() }; skip;
            goto waiting
        :: else -> pw = false
        fi;
        if
        :: stl -> send_commit(stl)
        :: else
        fi;
        if
        :: vd == COMPLETE && !abv && !NEEDS_BURIAL -> goto decided
        :: else
        fi;
        d_step {
            exp[b] = seen;
            oneshot = oneshot | BIT(b);
            if
            :: seen -> ver[b] = version
            :: else -> ver[b] = b; version = b; tomb = tomb | BIT(b)
            fi;
            t_ = seen;
            forget();
            seen = t_;
            send_prepare()
        }
    };
    if
    :: atomic { CNT(acks[b] & COUNTED(ce)) >= QOF(NV(ce)) -> send_commit(b); deaf() }
    :: atomic { need_ = QOF(NV(ce)); send_abort(); deaf(); goto promising }
    fi;

decided: /* after_finish: `version` stands, `seen` is the ballot that was chosen */
    atomic {
        if
        :: att == 0 && kind == GET -> d_step { y_ = VAL(version); z_ = prior; order(); forget() }; skip; goto over
        :: att == 0 && kind != GET -> d_step { forget() }; skip; goto reading
        :: att != 0 && version == att -> d_step { y_ = att; z_ = prior; order(); att = 0; forget() }; skip; goto over
        :: att != 0 && version != att && (seen < att || version < att) ->
            say_nothing_changed();
            d_step { forget() }; skip;
            goto again
        :: att != 0 && version != att && !(seen < att || version < att) -> goto over /* uncertain */
        fi
    };

over:
    atomic {
        forget();
        ce = 0; prior = 0; low = 0; b = 0; att = 0; expect = 0;
        tries = 0; rounds = 0; rereads = 0; version = 0; pw = false
    }
}

/* --- the network delivers to anybody what is on its way; what never arrives was lost */
#define ARRIVE(b) \
    :: d_step { HAS(pend[b], me) -> on_prepare(me, b) } \
    :: d_step { HAS(cpend[b], me) -> on_commit(me, b) } \
    :: d_step { HAS(apend[b], me) -> on_abort(me, b) } \
    :: d_step { HAS(ppend[b], me) -> on_promise(me, b) } /* and its answer is lost */

proctype node(byte me)
{
end:
    do
    ARRIVE(1)
    ARRIVE(2)
    ARRIVE(3)
#if B >= 4
    ARRIVE(4)
#endif
#if B >= 5
    ARRIVE(5)
#endif
#if B >= 6
    ARRIVE(6)
#endif
#if B >= 7
    ARRIVE(7)
#endif
    od
}

#ifdef WIPE
/* --- partition.c, seal.c, succession.c, server/pass.c. The keeper knows what is so, at once: that
 * only takes away waiting, since nobody can tell a late keeper from one that has not looked yet. */
#define UNSEALED(e, x) \
    (CNT(VOTERS(e) & SAME(x, e)) - \
        ((nep[0] >= x) + (nep[1] >= x) + (N > 2 && HAS(VOTERS(e) & SAME(x, e), 2) && nep[2] >= x) + \
            (N > 3 && HAS(VOTERS(e) & SAME(x, e), N - 1) && nep[N - 1] >= x)))
#define SEALED(x) ((nep[0] >= x) + (nep[1] >= x) + (N > 3 && nep[2] >= x) + (x > 2 && nep[W] >= x))
#define MIN(a, b) ((a) < (b) -> (a) : (b))
#define OVER(e, x) (UNSEALED(e, x) < MIN(QOF(NV(e)), ROF(NV(e))))

inline lose(i)
{
    nprom[i] = 0; nref[i] = 0; nhold[i] = 0; ncom[i] = 0; nshown[i] = 0
}

inline seal(i)
{
    nep[i] = mep;
    tidy(i)
}

/* rebuild_key: without what is undecided in this epoch, unless all is clear with it. */
inline without_in_flight()
{
    if
    :: seen != 0 && EP(seen) == 2 && !HAS(fcom, seen) ->
        v_ = B1 + 1;
        do
        :: v_ <= B2 && !HAS(fcom, v_) -> fh[v_] = 0; v_++
        :: v_ <= B2 && HAS(fcom, v_) -> v_++
        :: v_ > B2 -> break
        od;
        choose()
    :: else
    fi
}

/* INSERT, as committed, beneath what is newer. */
inline insert(i)
{
    if
    :: seen > TOP(ncom[i]) ->
        nhold[i] = nhold[i] | BIT(seen);
        ncom[i] = ncom[i] | BIT(seen);
        keep(i, ~BELOW(seen));
        tidy(i)
    :: else
    fi
}

#define LIST_OF(i) mep == 2 && live == 2 && !rebuilt && i < N - 1 && SERVES(i, 2) && !HAS(heard, i)

inline list_of(i)
{
    nshown[i] = nshown[i] | (nhold[i] & ~ncom[i]);
    fold(i)
}

proctype keeper()
{
    byte ce = 2, heard, fcom, fh[B + 1], seen, stl;
    bool abv;
    mtype vd = WAIT;

    d_step { lose(W); wiped = true;
#ifndef BREAK_same_epoch_rejoin
        nep[W] = 0; mep = 2
#endif
    };
end:
    do
    :: d_step { nep[0] < mep -> seal(0) }
    :: d_step { nep[1] < mep -> seal(1) }
    :: d_step { nep[2] < mep -> seal(2) }
#if N > 3
    :: d_step { nep[3] < mep -> seal(3) }
#endif
    :: d_step { mep == 2 && live < 2 && OVER(1, 2) && SEALED(2) >= QOF(N - 1) -> live = 2 }
    :: d_step { mep == 3 && live < 3 && OVER(1, 2) && OVER(2, 3) && SEALED(3) >= QOF(N) -> live = 3 }
    :: d_step { LIST_OF(0) -> list_of(0) }
    :: d_step { LIST_OF(1) -> list_of(1) }
#if N > 3
    :: d_step { LIST_OF(2) -> list_of(2) }
#endif
    :: d_step { live == 2 && !rebuilt && heard == BELOW(N - 1) && nep[W] == 2 ->
            choose();
            without_in_flight();
            if
            :: vd == COMPLETE -> insert(W); rebuilt = true
            :: else /* in doubt: whoever finishes it is a client; look again */
            fi;
            forget() }
    :: d_step { rebuilt && mep == 2 -> mep = 3 } /* admitted */
    od
}
#endif

#ifdef AUDIT
/* --- in every state: everybody stops, and somebody finishes with these q nodes. Changes nothing. */
#ifdef WIPE
#define CE mep
#else
#define CE 1
#endif

inline audit(nodes)
{
    ce = CE;
    t_ = 0;
    do
    :: t_ < N ->
        if
        :: HAS(nodes, t_) && SERVES(t_, ce) -> fold(t_)
        :: else
        fi;
        t_++
    :: else -> break
    od;
    choose();
#ifndef WIPE
    assert(vd != WAIT); /* it is decided */
#endif
    if
    :: vd == COMPLETE || vd == POSSIBLE ->
        v_ = 0;
        do
        :: v_ <= B -> gaft[v_] = aft[v_]; v_++
        :: else -> break
        od;
        gdone = done;
        y_ = (seen -> VAL(ver[seen]) : 0);
        z_ = done;
        order();
        done = gdone;
        v_ = 0;
        do
        :: v_ <= B -> aft[v_] = gaft[v_]; v_++
        :: else -> break
        od
    :: else
    fi;
    forget();
    ce = 0
}

proctype auditor()
{
    byte ce, heard, fcom, fh[B + 1], seen, stl;
    bool abv;
    mtype vd = WAIT;

end:
    do
    :: d_step { true -> audit(ALL) }
#if N == 3 && K == 1
    :: d_step { true -> audit(3) }
    :: d_step { true -> audit(5) }
    :: d_step { true -> audit(6) }
#endif
#if N == 4
    :: d_step { true -> audit(7) }
    :: d_step { true -> audit(11) }
    :: d_step { true -> audit(13) }
    :: d_step { true -> audit(14) }
#endif
    od
}
#endif

init
{
    byte i;

    atomic {
#ifdef WIPE
        i = 0;
        do
        :: i < N -> nep[i] = 1; i++
        :: else -> break
        od;
#endif
        i = 0;
        do
        :: i < N -> run node(i); i++
        :: else -> break
        od;
#ifdef AUDIT
        run auditor();
#endif
#ifdef WIPE
        run keeper();
#endif
        i = 0;
        do
        :: i < GETS -> run client(GET); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < CASES -> run client(CAS); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < CASPS -> run client(CASP); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < SETS -> run client(SET); i++
        :: else -> break
        od;
        i = 0
    }
}
