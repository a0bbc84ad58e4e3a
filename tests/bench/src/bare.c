/* The bare producer: what librdkafka's own producer reaches in an ordinary program, with the C library's allocator. (The
 * bench's other processes are the hub's program, whose allocator librdkafka uses there, too.)
 *
 * bare <messages> <topic> <count> <setting>=<value>...
 *
 * <messages> holds what is produced: for each message, lengths (u32, in this machine's order) before its key, its value,
 * the number of its headers, and each header's name and value. Prints how many of them the brokers reported while it was
 * measured, and in how many seconds: neither the first tenth nor the last. */
#include <fcntl.h>
#include <rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { POLL_MS = 100, PATIENCE_MS = 60000 };

/* What the brokers have reported. */
static atomic_ulong good, failed;

/* What is still to be read of the messages. */
static const char *next, *end;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "bare producer: %s: %s\n", what, why);
    exit(1);
}

static void reported(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque) {
    (void)producer, (void)opaque;
    atomic_fetch_add_explicit(message->err ? &failed : &good, 1, memory_order_relaxed);
}

static void *poll_reports(void *producer) {
    for (;;) rd_kafka_poll(producer, POLL_MS);
    return NULL;
}

static void pause_ms(void) {
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static uint32_t number(void) {
    uint32_t read;
    if ((size_t)(end - next) < sizeof read) fail("messages", "too few");
    memcpy(&read, next, sizeof read);
    next += sizeof read;
    return read;
}

static const char *bytes(uint32_t length) {
    const char *read = next;
    if ((size_t)(end - next) < length) fail("messages", "too short");
    next += length;
    return read;
}

static void open_messages(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat found;
    if (file < 0 || fstat(file, &found)) fail(path, "cannot be opened");
    next = mmap(NULL, found.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (next == MAP_FAILED) fail(path, "cannot be mapped");
    end = next + found.st_size;
    close(file);
}

/* Takes the next message; waits while the library's queue is full. */
static void produce(rd_kafka_t *producer, const char *topic) {
    uint32_t key_bytes = number();
    const char *key = bytes(key_bytes);
    uint32_t value_bytes = number();
    const char *value = bytes(value_bytes);
    uint32_t count = number();
    rd_kafka_headers_t *headers = rd_kafka_headers_new(count);
    while (count--) {
        uint32_t name_bytes = number();
        const char *name = bytes(name_bytes);
        uint32_t header_bytes = number();
        const char *header = bytes(header_bytes);
        if (rd_kafka_header_add(headers, name, name_bytes, header, header_bytes)) fail("header", "not taken");
    }
    for (;;) {
        rd_kafka_resp_err_t error = rd_kafka_producev(
            producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(key, key_bytes), RD_KAFKA_V_HEADERS(headers),
            RD_KAFKA_V_VALUE((void *)value, value_bytes), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        if (!error) return;
        if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) fail("producing", rd_kafka_err2str(error));
        pause_ms();
    }
}

static rd_kafka_t *connect_to(const char *topic, char **settings) {
    char why[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (; *settings; settings++) {
        char *value = strchr(*settings, '=');
        if (!value) fail(*settings, "no setting");
        *value++ = 0;
        if (rd_kafka_conf_set(conf, *settings, value, why, sizeof why)) fail(*settings, why);
    }
    rd_kafka_conf_set_dr_msg_cb(conf, reported);
    rd_kafka_t *producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (!producer) fail("producer", why);
    rd_kafka_topic_t *only = rd_kafka_topic_new(producer, topic, NULL);
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t error = rd_kafka_metadata(producer, 0, only, &metadata, PATIENCE_MS);
    if (error) fail("connecting", rd_kafka_err2str(error));
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(only);
    return producer;
}

/* How many were reported at which time. */
struct mark {
    unsigned long done;
    struct timespec at;
};

static void look(struct mark *mark, unsigned long from) {
    unsigned long done = atomic_load_explicit(&good, memory_order_relaxed);
    if (mark->done || done < from) return;
    mark->done = done;
    clock_gettime(CLOCK_MONOTONIC, &mark->at);
}

int main(int count, char **words) {
    if (count < 4) fail("call", "<messages> <topic> <count> <setting>=<value>...");
    const char *topic = words[2];
    unsigned long records = strtoul(words[3], NULL, 10);
    struct mark first = {0}, last = {0};
    pthread_t polling;
    open_messages(words[1]);
    rd_kafka_t *producer = connect_to(topic, words + 4);
    if (pthread_create(&polling, NULL, poll_reports, producer)) fail("polling", "no thread");
    for (unsigned long sent = 0; sent < records; sent++) {
        produce(producer, topic);
        look(&first, records / 10);
        look(&last, records * 9 / 10);
    }
    while (atomic_load(&good) < records) {
        if (atomic_load(&failed)) fail("producing", "the brokers did not take everything");
        look(&first, records / 10);
        look(&last, records * 9 / 10);
        pause_ms();
    }
    look(&first, records / 10);
    look(&last, records * 9 / 10);
    double seconds = (double)(last.at.tv_sec - first.at.tv_sec) + (last.at.tv_nsec - first.at.tv_nsec) / 1e9;
    printf("%lu %.9f\n", last.done - first.done, seconds);
    return 0;
}
