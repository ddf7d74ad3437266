/* client.h - reader.c, finisher.c, writer.c, operation*.c: client c. Part of key.h. */

static struct op *op(int c) { return &now.cl[c]; }

static int can_read(int c, int i) { return !has(op(c)->heard, i) && serves(i, op(c)->ce); }

static void read_from(int c, int i)
{
    struct op *o = op(c);

    show(i);
    fold(o, i);
    o->low = max_of(o->low, top(now.nhold[i]));
    if (count(o->heard & voters(o->ce)) >= r_of(o->ce)) choose(o);
    settle();
}

static int may_reread(int c) { return op(c)->vd == POSSIBLE || op(c)->heard == holders(); }

/* Nothing that could still be asked, and no time to ask again. */
static int is_stuck(int c)
{
    struct op *o = op(c);

    if (o->vd != WAIT || o->rereads > 0) return 0;
    for (int i = 0; i < NODES; i++)
        if (can_read(c, i)) return 0;
    return 1;
}

static int can_promise(int c, int i) { return !has(op(c)->heard, i) && may_promise(i, op(c)->b); }

static void promise_of(int c, int i)
{
    struct op *o = op(c);

#ifndef BREAK_forget_promise
    now.nprom[i] = o->b;
#endif
    fold(o, i);
    if (count(o->heard & voters(o->ce)) >= q_of(o->ce)) choose(o);
    settle();
}

static int is_free(int c, int b)
{
    return b <= BALLOTS && !has(now.used, b) && b > op(c)->low && epoch_of(b) == op(c)->ce;
}

static int is_none_free(int c)
{
    for (int b = 1; b <= BALLOTS; b++)
        if (is_free(c, b)) return 0;
    return 1;
}

static void take(int c)
{
    struct op *o = op(c);

    if (o->b == 0) return;
    now.used |= 1 << o->b;
    o->low = o->b;
}

static void return_version(int c)
{
    order(val(op(c)->version), op(c)->prior);
    forget(op(c));
    settle();
}

static void return_value(int c)
{
    op(c)->version = op(c)->seen ? now.ver[op(c)->seen] : 0;
    return_version(c);
}

static void expect_it(int c)
{
    op(c)->expect = op(c)->seen ? now.ver[op(c)->seen] : 0;
    forget(op(c));
    settle();
}

static void send_prepare(struct op *o)
{
    now.pend[o->b] = holders();
    now.lst |= 1 << o->b;
    now.lsa |= 1 << o->b;
    settle();
}

static void deaf(int c)
{
    struct op *o = op(c);

    now.lst &= ~(1 << o->b);
    now.lsa &= ~(1 << o->b);
    now.acks[o->b] = now.dead[o->b] = 0;
    settle();
}

static void send_commit(const struct op *o, int b)
{
    now.cpend[b] = holders();
    now.cep[b] = o->ce;
}

static int need_of(const struct op *o) { return has(now.cond, o->b) ? f_of(o->ce) : q_of(o->ce); }

static int is_complete(int c)
{
    return count(now.acks[op(c)->b] & counted(op(c)->ce)) >= need_of(op(c));
}

static int is_outvoted(int c)
{
    struct op *o = op(c);

    return nv(o->ce) - count(now.dead[o->b] & voters(o->ce)) < need_of(o);
}

static void send_abort(int c, int outvoted)
{
    struct op *o = op(c);

    now.apend[o->b] = holders() & ~now.dead[o->b];
    now.lsa &= ~(1 << o->b);
    now.acks[o->b] = 0;
    if (outvoted) now.outv |= 1 << o->b;
    settle();
}

static int is_proved_dead(int c)
{
#ifdef BREAK_dead_too_soon
    int few = 2 * q_of(op(c)->ce) - nv(op(c)->ce);
#else
    int few = SHARDS;
#endif
    return count(holders() & ~now.dead[op(c)->b]) < few;
}

static void begin_write(int c, int conditional)
{
    struct op *o = op(c);

    o->att = o->b;
    o->pw = 0;
    now.ver[o->b] = o->b;
    now.bw[o->b] = o->prior;
    if (o->kind != SET) {
        now.iscas |= 1 << o->b;
        now.exp[o->b] = o->expect;
    }
    if (conditional) now.cond |= 1 << o->b;
    forget(o);
    send_prepare(o);
}

static void written(int c)
{
    struct op *o = op(c);

    order(o->att, o->prior);
    o->att = 0;
    send_commit(o, o->b);
    deaf(c);
}

/* how: 0 proved dead, 1 without asking (a planted mistake), 2 buried by a Finish. */
static void say_nothing_changed(int c, int how)
{
    struct op *o = op(c);

    if (has(now.done, o->att)) now.bad = 3; /* it was seen already */
    now.gone |= 1 << o->att;
    now.bw[o->att] = 0;
    o->att = 0;
    if (how == 1) now.apend[o->b] = 0;
    if (how != 2) deaf(c);
    forget(o);
    settle();
}

static void prepare_promise(int c)
{
    forget(op(c));
    op(c)->low = max_of(op(c)->low, op(c)->att);
    settle();
}

static void send_promise(int c, int for_write)
{
    op(c)->pw = for_write;
    settle();
}

static int is_write_at(int c)
{
    return op(c)->pw && op(c)->att == 0 && op(c)->version == op(c)->expect;
}

static void on_promised(int c)
{
    struct op *o = op(c);

    o->version = o->seen ? now.ver[o->seen] : 0;
    if (is_write_at(c)) return;
    o->pw = 0;
    if (o->stl) send_commit(o, o->stl);
    settle();
}

static int is_clean(int c)
{
    struct op *o = op(c);
    int needs_burial = o->att != 0 && o->version != o->att && o->seen < o->att;

#ifdef BREAK_no_burial
    needs_burial = 0;
#endif
    return o->vd == COMPLETE && !o->abv && !needs_burial;
}

static void propose(int c)
{
    struct op *o = op(c);
    int chosen = o->seen;

    now.exp[o->b] = chosen;
    now.oneshot |= 1 << o->b;
    if (!o->version) {
        o->version = o->b;
        now.tomb |= 1 << o->b;
    }
    now.ver[o->b] = o->version;
    forget(o);
    o->seen = chosen;
    send_prepare(o);
}

static void proposed(int c)
{
    send_commit(op(c), op(c)->b);
    deaf(c);
}

static int is_passed_over(const struct op *o) { return o->seen < o->att || o->version < o->att; }

static int is_buried(int c)
{
    struct op *o = op(c);

    return o->att != 0 && o->version != o->att && is_passed_over(o);
}

static int is_uncertain(int c)
{
    struct op *o = op(c);

    return o->att != 0 && o->version != o->att && !is_passed_over(o);
}

static void finished_own(int c)
{
    order(op(c)->att, op(c)->prior);
    op(c)->att = 0;
    forget(op(c));
    settle();
}

static void end(int c)
{
    memset(op(c), 0, sizeof(struct op));
    now.running--;
    settle();
}
