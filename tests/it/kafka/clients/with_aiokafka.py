"""aiokafka as the client of an agency: writes what stands on standard input, or prints what lies in a topic.

    with_aiokafka.py write BOOTSTRAP TOPIC    each line an object with key, headers and value
    with_aiokafka.py read BOOTSTRAP TOPIC     each message as a line, up to the topic's end

What is written and read is judged by clients.rs.
"""

import asyncio
import json
import sys
import uuid

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

WITHIN_S = 60


async def write(bootstrap, topic):
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True) as producer:
        for line in sys.stdin:
            event = json.loads(line)
            headers = [(name, text.encode()) for name, text in event["headers"]]
            await producer.send_and_wait(topic, event["value"].encode(), event["key"].encode(), headers=headers)


async def at_the_end(consumer):
    partitions = consumer.assignment()
    if not partitions:
        return False
    ends = await consumer.end_offsets(partitions)
    return all([await consumer.position(one) >= ends[one] for one in partitions])


async def read(bootstrap, topic):
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=f"aiokafka-{uuid.uuid4()}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    async with consumer:
        while True:
            for messages in (await consumer.getmany(timeout_ms=500)).values():
                for message in messages:
                    found = {
                        "key": message.key.decode(),
                        "headers": [[name, value.decode()] for name, value in message.headers],
                        "value": message.value.decode(),
                        "partition": message.partition,
                        "offset": message.offset,
                    }
                    print(json.dumps(found))
            if await at_the_end(consumer):
                return


asyncio.run(asyncio.wait_for({"write": write, "read": read}[sys.argv[1]](*sys.argv[2:]), WITHIN_S))
