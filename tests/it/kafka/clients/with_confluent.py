"""confluent-kafka as the client of an agency: writes what stands on standard input, or prints what lies in a topic.

    with_confluent.py write BOOTSTRAP TOPIC    each line an object with key, headers and value; or, for the Confluent wire
                                               format, with record, schema and schemaId instead of value
    with_confluent.py read BOOTSTRAP TOPIC     each message as a line, up to the topic's end

What is written and read is judged by clients.rs.
"""

import json
import sys
import time
import uuid

from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

WITHIN_S = 60


def wire_format(topic, event):
    """The record as Confluent's own serializer writes it, under the id that the catalogue maps."""
    registry = SchemaRegistryClient.new_client({"url": "mock://of-the-test"})
    for number in range(1, event["schemaId"]):
        registry.register_schema(f"other-{number}", Schema(json.dumps({"title": f"other {number}"}), "JSON"))
    serialize = JSONSerializer(event["schema"], registry)
    return serialize(event["record"], SerializationContext(topic, MessageField.VALUE))


def write(bootstrap, topic):
    failed = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True})
    for line in sys.stdin:
        event = json.loads(line)
        value = wire_format(topic, event) if "schema" in event else event["value"].encode()
        producer.produce(
            topic,
            key=event["key"].encode(),
            value=value,
            headers=[(name, text.encode()) for name, text in event["headers"]],
            on_delivery=lambda error, _: failed.append(error) if error else None,
        )
    left = producer.flush(WITHIN_S)
    if left or failed:
        sys.exit(f"{left} events were not written, {len(failed)} failed: {failed[:1]}")


def read(bootstrap, topic):
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"confluent-{uuid.uuid4()}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    unread = set(consumer.list_topics(topic, timeout=WITHIN_S).topics[topic].partitions)
    consumer.subscribe([topic])
    deadline = time.monotonic() + WITHIN_S
    while unread:
        if time.monotonic() > deadline:
            sys.exit(f"partitions {unread} of {topic} were not read to their end")
        message = consumer.poll(0.5)
        if message is None:
            continue
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                sys.exit(str(message.error()))
            unread.discard(message.partition())
            continue
        found = {
            "key": message.key().decode(),
            "headers": [[name, value.decode()] for name, value in message.headers()],
            "value": message.value().decode(),
            "partition": message.partition(),
            "offset": message.offset(),
        }
        print(json.dumps(found))
    consumer.close()


{"write": write, "read": read}[sys.argv[1]](*sys.argv[2:])
