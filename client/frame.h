/* frame.h - a frame goes out and comes in: the only zmq_msg_send and zmq_msg_recv.
 *
 * Within a process (inproc) a large frame is handed from thread to thread as it is. libzmq orders
 * the two, but is not instrumented: the thread sanitizer is told so here, and nowhere is anything
 * suppressed for it. */
#ifndef SHERD_CLIENT_FRAME_H
#define SHERD_CLIENT_FRAME_H

#include <zmq.h>

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define SHERD_HAND_OVER(data) __tsan_release(data)
#define SHERD_TAKE_OVER(data) __tsan_acquire(data)
#else
#define SHERD_HAND_OVER(data) ((void)(data))
#define SHERD_TAKE_OVER(data) ((void)(data))
#endif

/* As zmq_msg_send. */
static inline int sherd_frame_send(zmq_msg_t *frame, void *socket, int flags)
{
    SHERD_HAND_OVER(zmq_msg_data(frame));
    return zmq_msg_send(frame, socket, flags);
}

/* As zmq_msg_recv, without waiting. */
static inline int sherd_frame_receive(zmq_msg_t *frame, void *socket)
{
    int rc = zmq_msg_recv(frame, socket, ZMQ_DONTWAIT);

    if (rc >= 0) SHERD_TAKE_OVER(zmq_msg_data(frame));
    return rc;
}

#endif
