/* The client thread: it alone runs the link, applies, loads and calls back. One turn: the link's frames, what they
 * brought, what is due, sleep. */
#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "fs/client/client_internal.h"
#include "replica/net/carrier.h"

uint64_t client_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- carrying out what the learner asks for --- */

static void note_refusal(struct client *client, int code)
{
    client->refusal = code;
    client->refusals++;
    pthread_cond_broadcast(&client->moved);
}

static void drop_link(struct client *client, int code, uint32_t delay_ms)
{
    client->dropped = true;
    client->drop_ms = delay_ms;
    client->dropped_link = client->link++;
    if (code != ERR_SESSION_EXPIRED)
        note_refusal(client, code);
}

/* What can't be sent is lost with the link: the learner sends it again on the next. `more`: another one follows. */
static void send_message(struct client *client, const struct message *message, bool urgent, bool more, uint64_t now_ms)
{
    if (client->dial == NULL || client->attached != client->link)
        return;
    int code = encode_message(message, &client->encoded);
    assert(code == ERR_OK); /* requests were measured when they were encoded */
    struct link *link = dial_link(client->dial);
    if (urgent)
        link_send_urgent(link, client->encoded.at, client->encoded.len, now_ms);
    else if (more)
        link_send_more(link, client->encoded.at, client->encoded.len);
    else
        link_send(link, client->encoded.at, client->encoded.len, now_ms);
}

void client_send_ask(struct client *client)
{
    send_message(client, &(struct message){.kind = MESSAGE_STATUS}, false, false, client_now_ms());
}

static void put_off(struct client *client, const struct learner_action *action)
{
    struct learner_action *copy = learner_output_add(&client->deliveries, action->kind);
    *copy = *action;
    if (action->kind == LEARNER_STATE && action->state.state == CLIENT_CONNECTED) {
        client->refusal = ERR_OK;
        client->refusals = 0;
    }
}

/* The index after the last ordinary message: the one that takes along those before it. */
static size_t sends_end(const struct learner_output *output)
{
    size_t end = output->count;
    while (end > 0 && output->list[end - 1].kind != LEARNER_SEND)
        end--;
    return end;
}

void client_carry_out(struct client *client)
{
    uint64_t now_ms = client->output.count > 0 ? client_now_ms() : 0;
    const size_t end = sends_end(&client->output);
    for (size_t i = 0; i < client->output.count; i++) {
        const struct learner_action *action = &client->output.list[i];
        if (action->kind == LEARNER_SEND || action->kind == LEARNER_SEND_URGENT)
            send_message(client, &action->send, action->kind == LEARNER_SEND_URGENT, i + 1 < end, now_ms);
        else if (action->kind == LEARNER_DROP_LINK)
            drop_link(client, action->drop.code, action->drop.delay_ms);
        else
            put_off(client, action);
    }
    client->output.count = 0;
}

void client_wake(struct client *client)
{
    bool due = client->deliveries.count > 0 || client->inbox.len > 0 || client->dropped;
    if (client->sleep_until == 0 || (!due && learner_deadline(client->learner) >= client->sleep_until))
        return;
    client->sleep_until = 0;
    int code = eventfd_write(client->wake_fd, 1);
    assert(code == 0);
}

/* Tells what was put off, without a lock; what the callbacks cause is told as well. */
static void deliver(struct client *client)
{
    for (;;) {
        pthread_mutex_lock(&client->mutex);
        struct learner_output swapped = client->delivering;
        client->delivering = client->deliveries;
        client->deliveries = swapped;
        pthread_mutex_unlock(&client->mutex);
        if (client->delivering.count == 0)
            return;
        for (size_t i = 0; i < client->delivering.count; i++) {
            const struct learner_action *action = &client->delivering.list[i];
            if (action->kind == LEARNER_COMPLETE)
                action->complete.done(action->complete.arg, &action->complete.result);
            else if (client->events.state != NULL)
                client->events.state(client->events.arg, action->state.state, action->state.session);
        }
        client->delivering.count = 0;
    }
}

/* Ends a call of the learner, which was begun by locking the mutex. */
static void finish_call(struct client *client)
{
    client_carry_out(client);
    if (client->ready != learner_ready(client->learner)) {
        client->ready = true;
        pthread_cond_broadcast(&client->moved);
    }
    bool tell = client->deliveries.count > 0;
    pthread_mutex_unlock(&client->mutex);
    if (tell)
        deliver(client);
}

/* --- the tree --- */

static void broken(struct client *client, int code)
{
    pthread_mutex_lock(&client->mutex);
    learner_broken(client->learner, client_now_ms(), code, &client->output);
    finish_call(client);
}

static int apply_entry(struct client *client, struct bytes encoded, struct entry *entry, struct result *result,
                       bool *known)
{
    const struct client_events *events = &client->events;
    *known = false;
    if (events->changing != NULL)
        events->changing(events->arg);
    int code = tree_apply(&client->tree, encoded, entry, result, &client->changes, known);
    if (events->changed != NULL)
        events->changed(events->arg, code == ERR_OK && !*known ? &client->changes : NULL);
    return code;
}

static void apply_entries(struct client *client, const struct message_entries *entries)
{
    for (size_t i = 0; i < entries->count; i++) {
        struct entry entry;
        struct result result;
        bool known;
        int code = apply_entry(client, entries->list[i], &entry, &result, &known);
        if (code != ERR_OK) {
            broken(client, code);
            return;
        }
        if (known)
            continue;
        if (client->changes.count > 0 && client->events.changes != NULL)
            client->events.changes(client->events.arg, &client->changes);
        pthread_mutex_lock(&client->mutex);
        learner_applied(client->learner, client_now_ms(), &entry, &result, &client->output);
        finish_call(client);
        if (client->changes.count > 0 && client->events.told != NULL)
            client->events.told(client->events.arg);
    }
}

static void load_chunk(struct client *client, struct bytes chunk)
{
    int code = tree_load(&client->tree, chunk);
    if (code != ERR_OK)
        broken(client, code);
    else if (client->events.progress != NULL)
        client->events.progress(client->events.arg, loader_nodes(client->tree.loader), client->tree.nodes);
}

/* The first tree is no news: there was none before. */
static void load_end(struct client *client)
{
    struct state *before;
    if (client->events.changing != NULL)
        client->events.changing(client->events.arg);
    int code = tree_load_end(&client->tree, &before);
    if (client->events.replaced != NULL)
        client->events.replaced(client->events.arg);
    if (code != ERR_OK) {
        broken(client, code);
        return;
    }
    if (state_zxid(before) > 0 && client->events.resync != NULL)
        client->events.resync(client->events.arg, before);
    state_free(before);
    pthread_mutex_lock(&client->mutex);
    learner_loaded(client->learner, client_now_ms(), client->tree.state, &client->output);
    finish_call(client);
}

/* --- the link --- */

static void answer_asks(struct client *client, const struct message_status *status)
{
    pthread_mutex_lock(&client->mutex);
    struct ask *taken = ask_take(&client->asks, UINT64_MAX);
    pthread_mutex_unlock(&client->mutex);
    ask_tell(taken, status);
}

static void on_message(struct client *client, struct bytes bytes)
{
    struct message message;
    arena_reset(client->arena);
    int code = decode_message(bytes, client->arena, &message);
    if (code != ERR_OK) {
        broken(client, code);
        return;
    }
    if (message.kind == MESSAGE_STATUS_REPLY) {
        answer_asks(client, &message.status);
        return;
    }
    pthread_mutex_lock(&client->mutex);
    enum learner_verdict verdict = learner_message(client->learner, client_now_ms(), &message, &client->output);
    finish_call(client);
    if (verdict == LEARNER_APPLY)
        apply_entries(client, &message.entries);
    else if (verdict == LEARNER_LOAD_BEGIN)
        tree_load_begin(&client->tree, message.snapshot_begin.nodes);
    else if (verdict == LEARNER_LOAD_CHUNK)
        load_chunk(client, message.chunk);
    else if (verdict == LEARNER_LOAD_END)
        load_end(client);
}

static void on_up(struct client *client, uint64_t link)
{
    uint8_t nonce[SESSION_NONCE_BYTES], secret[SESSION_SECRET_BYTES];
    ssize_t got = getrandom(nonce, sizeof nonce, 0) + getrandom(secret, sizeof secret, 0);
    assert(got == (ssize_t)(sizeof nonce + sizeof secret));
    tree_load_stop(&client->tree);
    pthread_mutex_lock(&client->mutex);
    client->attached = link;
    if (client->asks != NULL)
        client_send_ask(client); /* before ATTACH: after a refusal nothing is answered */
    learner_up(client->learner, client_now_ms(), nonce, secret, &client->output);
    finish_call(client);
}

static void on_down(struct client *client, int code)
{
    pthread_mutex_lock(&client->mutex);
    if (code == ERR_BAD_KEY || code == ERR_BAD_FORMAT)
        note_refusal(client, code);
    learner_down(client->learner, client_now_ms(), &client->output);
    finish_call(client);
}

/* The next item, but of no link that the learner itself has dropped since. */
static bool take_item(struct client *client, struct inbox_item *item, struct bytes *message)
{
    while (inbox_next(&client->reading, item, message)) {
        pthread_mutex_lock(&client->mutex);
        bool stale = item->link <= client->dropped_link;
        pthread_mutex_unlock(&client->mutex);
        if (!stale)
            return true;
    }
    return false;
}

static void take_inbox(struct client *client)
{
    struct inbox_item item;
    struct bytes message;
    pthread_mutex_lock(&client->mutex);
    struct inbox swapped = client->reading;
    client->reading = client->inbox;
    client->inbox = swapped;
    pthread_mutex_unlock(&client->mutex);
    while (take_item(client, &item, &message)) {
        if (item.kind == INBOX_UP)
            on_up(client, item.link);
        else if (item.kind == INBOX_DOWN)
            on_down(client, item.code);
        else
            on_message(client, message);
    }
}

/* --- dialing --- */

static void dial_up(void *arg)
{
    struct client *client = arg;
    struct inbox_item item = {.kind = INBOX_UP, .link = ++client->link};
    inbox_add(&client->inbox, &item, NULL);
}

static void dial_down(void *arg, int code)
{
    struct client *client = arg;
    struct inbox_item item = {.kind = INBOX_DOWN, .code = code, .link = client->link++};
    inbox_add(&client->inbox, &item, NULL);
}

static void dial_message(void *arg, const void *message, size_t len)
{
    struct client *client = arg;
    struct inbox_item item = {.kind = INBOX_MESSAGE, .link = client->link, .len = len};
    inbox_add(&client->inbox, &item, message);
}

/* Closing and opening sockets takes time: both without the mutex. */
static void hang_up(struct client *client, uint64_t delay_ms)
{
    pthread_mutex_lock(&client->mutex);
    struct dial *dial = client->dial;
    client->dial = NULL;
    client->dropped = false;
    pthread_mutex_unlock(&client->mutex);
    if (dial != NULL)
        dial_close(dial);
    client->up = false;
    uint64_t now_ms = client_now_ms();
    servers_current(&client->servers)->not_before_ms = now_ms + delay_ms;
    servers_next(&client->servers, now_ms);
}

static void dial_server(struct client *client, uint64_t now_ms)
{
    char text[256];
    struct dial *dial;
    struct server *server = servers_current(&client->servers);
    const struct link_events events = {.arg = client, .up = dial_up, .down = dial_down, .message = dial_message};
    int code = dial_open(server->address, &client->keys, &events, &dial, text, sizeof text);
    client->dialed_ms = now_ms;
    pthread_mutex_lock(&client->mutex);
    if (code == ERR_OK) {
        client->dial = dial;
        memcpy(client->address, server->address, sizeof client->address);
    } else {
        note_refusal(client, code);
    }
    pthread_mutex_unlock(&client->mutex);
    if (code != ERR_OK)
        hang_up(client, LEARNER_REFUSED_MS);
}

/* A replica that hangs, or whose host is gone, sends nothing; one that lives pings. Of the time between two looks only
 * so much counts: that in which this process did not run is not the replica's silence. */
static bool is_silent(struct client *client, uint64_t now_ms)
{
    const uint64_t received = link_received(dial_link(client->dial)), passed_ms = now_ms - client->watched_ms;
    if (!client->up || received != client->received)
        client->silent_ms = 0;
    else
        client->silent_ms += passed_ms < 2 * CLIENT_WATCH_MS ? passed_ms : 2 * CLIENT_WATCH_MS;
    client->received = received;
    return client->silent_ms >= CLIENT_SILENCE_MS;
}

/* With the mutex held, after the link has run. True: there are other servers, and this one is to be left for them. */
static bool is_to_be_left(struct client *client, uint64_t now_ms)
{
    const bool several = client->servers.count > 1, up = link_state(dial_link(client->dial)) == LINK_UP;
    bool leave = client->up && !up;
    if (up)
        client->dialed_ms = now_ms;
    else if (now_ms - client->dialed_ms >= CLIENT_PATIENCE_MS)
        leave = true;
    if (several && up && is_silent(client, now_ms)) {
        dial_down(client, ERR_UNREACHABLE);
        leave = true;
    }
    client->up = up;
    client->watched_ms = now_ms;
    return several && leave;
}

/* One turn of the link. Returns when it wants the next. */
static uint64_t run_link(struct client *client)
{
    uint64_t now_ms = client_now_ms(), due_ms = servers_current(&client->servers)->not_before_ms;
    carrier_tend();
    if (client->dial == NULL && due_ms <= now_ms)
        dial_server(client, now_ms);
    if (client->dial == NULL)
        return servers_current(&client->servers)->not_before_ms;
    pthread_mutex_lock(&client->mutex);
    due_ms = dial_run(client->dial, now_ms);
    const bool leave = is_to_be_left(client, now_ms);
    pthread_mutex_unlock(&client->mutex);
    if (leave) {
        hang_up(client, CLIENT_AVOID_MS);
        return now_ms;
    }
    /* That a connection has come up, or ended, shows only when one looks. */
    uint64_t look_ms = UINT64_MAX;
    if (client->up && client->servers.count > 1)
        look_ms = now_ms + CLIENT_WATCH_MS;
    else if (!client->up && now_ms - client->dialed_ms < CLIENT_EAGER_MS)
        look_ms = now_ms + CLIENT_LOOK_MS;
    return due_ms < look_ms ? due_ms : look_ms;
}

/* --- the loop --- */

static bool tick(struct client *client)
{
    pthread_mutex_lock(&client->mutex);
    learner_tick(client->learner, client_now_ms(), &client->output);
    bool closed = learner_closed(client->learner);
    struct ask *late = ask_take(&client->asks, closed ? UINT64_MAX : client_now_ms());
    finish_call(client);
    ask_tell(late, NULL);
    deliver(client); /* also what other threads' calls put off */
    return !closed;
}

static void sleep_until_due(struct client *client, uint64_t due_ms)
{
    struct pollfd fds[2] = {{.fd = client->wake_fd, .events = POLLIN}};
    eventfd_t count;
    pthread_mutex_lock(&client->mutex);
    bool busy = client->deliveries.count > 0 || client->inbox.len > 0 || client->dropped;
    uint64_t deadline_ms = learner_deadline(client->learner), now_ms = client_now_ms();
    due_ms = deadline_ms < due_ms ? deadline_ms : due_ms;
    due_ms = ask_deadline(client->asks) < due_ms ? ask_deadline(client->asks) : due_ms;
    uint64_t wait_ms = due_ms > now_ms ? due_ms - now_ms : 0;
    wait_ms = wait_ms < CLIENT_SLEEP_MS ? wait_ms : CLIENT_SLEEP_MS;
    client->sleep_until = busy ? 0 : now_ms + wait_ms;
    pthread_mutex_unlock(&client->mutex);
    if (busy)
        return;
    if (client->dial != NULL)
        fds[1] = (struct pollfd){.fd = dial_fd(client->dial), .events = POLLIN};
    poll(fds, client->dial != NULL ? 2 : 1, (int)wait_ms);
    pthread_mutex_lock(&client->mutex);
    client->sleep_until = 0;
    pthread_mutex_unlock(&client->mutex);
    if (fds[0].revents != 0)
        eventfd_read(client->wake_fd, &count);
}

static void close_if_dropped(struct client *client)
{
    pthread_mutex_lock(&client->mutex);
    bool dropped = client->dropped;
    uint32_t delay_ms = client->drop_ms;
    pthread_mutex_unlock(&client->mutex);
    if (dropped)
        hang_up(client, delay_ms);
}

/* What has arrived is taken in before anything is judged to be late: see learner.h. */
void *client_thread(void *arg)
{
    struct client *client = arg;
    pthread_setname_np(pthread_self(), "pact-client");
    for (;;) {
        close_if_dropped(client);
        uint64_t due_ms = run_link(client);
        take_inbox(client);
        if (!tick(client))
            break;
        sleep_until_due(client, due_ms);
    }
    if (client->dial != NULL)
        dial_close(client->dial);
    client->dial = NULL;
    return NULL;
}
