"""What one would write without a service: a consumer that calls the model in its loop, and produces the answers.

    python -m benchmarks.kafka_by_hand MODEL.onnx BROKER TOPIC RESULTS MOST

It takes up to MOST messages at a time, runs the model once for them, sends the answers and commits. It checks nothing,
keeps nothing, and loses what it has in hand when it dies.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from confluent_kafka import Consumer, Producer

from benchmarks.session import session


def main(model: str, broker: str, topic: str, results: str, most: str) -> None:
    """Answer rows until it is killed."""
    loaded = session(model)
    name = loaded.get_inputs()[0].name
    consumer = Consumer(
        {
            "bootstrap.servers": broker,
            "group.id": f"by-hand-{topic}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 5,
        }
    )
    producer = Producer({"bootstrap.servers": broker, "linger.ms": 2})
    consumer.subscribe([topic])
    while True:
        messages = [each for each in consumer.consume(int(most), 0.01) if each.error() is None]
        if not messages:
            continue
        rows = np.array([json.loads(each.value() or b"")["inputs"][0] for each in messages], np.float32)
        (output,) = loaded.run(None, {name: rows})
        for message, probabilities in zip(messages, output.tolist(), strict=True):
            producer.produce(results, json.dumps({"probabilities": probabilities}), message.key())
        producer.flush()
        consumer.commit(asynchronous=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
