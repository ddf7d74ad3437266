/* Messages as a client receives them: whose bytes are whose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "client/transport.h"

enum { SHARD_BYTES = 20000 };

/* A message of three frames: records, and twice the same stored shard, as a service that answers
 * two reads of one key sends it. Over inproc the two copies share their bytes. */
static void send_twice(void *socket)
{
    zmq_msg_t stored, copy;

    assert_int_equal(zmq_msg_init_size(&stored, SHARD_BYTES), 0);
    memset(zmq_msg_data(&stored), 'x', SHARD_BYTES);
    assert_int_equal(zmq_send(socket, "records", 7, ZMQ_SNDMORE), 7);
    for (int i = 0; i < 2; i++) {
        zmq_msg_init(&copy);
        zmq_msg_copy(&copy, &stored);
        assert_int_equal(zmq_msg_send(&copy, socket, i == 0 ? ZMQ_SNDMORE : 0), SHARD_BYTES);
    }
    zmq_msg_close(&stored);
}

static void frames_that_share_bytes_are_taken_once(void **state)
{
    void *context = zmq_ctx_new(), *sender = zmq_socket(context, ZMQ_PAIR);
    void *receiver = zmq_socket(context, ZMQ_PAIR);
    struct sherd_incoming in = {0};
    struct sherd_bytes shards[2];
    zmq_msg_t taken[3];

    (void)state;
    assert_int_equal(zmq_bind(receiver, "inproc://here"), 0);
    assert_int_equal(zmq_connect(sender, "inproc://here"), 0);
    send_twice(sender);
    assert_int_equal(sherd_incoming_receive(&in, receiver), 0);
    assert_int_equal(in.count, 3);
    shards[0] = in.views[1];
    shards[1] = in.views[2];
    assert_ptr_equal(shards[0].data, shards[1].data);
    for (int i = 0; i < 2; i++) {
        assert_true(sherd_incoming_take(&in, shards[i], &taken[i]));
        assert_int_equal(zmq_msg_size(&taken[i]), SHARD_BYTES);
    }
    assert_false(sherd_incoming_take(&in, shards[0], &taken[2]));
    for (int i = 0; i < 2; i++)
        zmq_msg_close(&taken[i]);
    sherd_incoming_fini(&in);
    zmq_close(sender);
    zmq_close(receiver);
    zmq_ctx_term(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_that_share_bytes_are_taken_once),
    };
    return cmocka_run_group_tests_name("transport", tests, NULL, NULL);
}
