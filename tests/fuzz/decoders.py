"""What reads bytes that strangers send. Each may refuse them, in words of its own, and nothing else."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image
from werkzeug.test import EnvironBuilder

from production_server import json_pieces
from production_server.access.key_text import digest_of, fault_of
from production_server.errors import CeleriacError, InvalidInput, TooLarge, Unauthorized
from production_server.json_document import NotJson, read_json
from production_server.models.images import check_image, thumbnail
from production_server.models.manifest import Manifest
from production_server.models.registry import Registry
from production_server.models.store import ModelVersion
from production_server.models.table import parse_table
from production_server.models.tabular import stack_rows
from production_server.settings import BUILT_IN_MODEL_STORE
from production_server.sources.object_events import read_events
from production_server.web.edge.door import key_in, session_in
from production_server.web.edge.forms import StrictFormRequest, repeated
from production_server.web.edge.headers import headers_of
from production_server.web.interactive.open_inference import OpenInference
from production_server.web.interactive.protocol import HttpRequest
from production_server.web.interactive.tensorflow_serving import TensorFlowServing
from testing.image_files import decode_image

EXAMPLES = Path(__file__).parents[2] / "examples"
ROW = [6, 148, 72, 35, 0, 33.6, 0.627, 50]
MAX_PIXELS = 1_000_000


@dataclass(frozen=True, slots=True)
class Decoder:
    """One of them; `read` raises nothing but what it says that it refuses."""

    read: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]
    words: tuple[bytes, ...] = ()
    """What is worth trying, beside what a machine finds by itself."""


@cache
def registry() -> Registry:
    return Registry((BUILT_IN_MODEL_STORE,))


def version(name: str) -> ModelVersion:
    return registry().resolve(name, None)


def read_image(data: bytes) -> None:
    """An image that is taken is one that can be decoded and shown, with what the model wants."""
    preprocessing = version("fashion_mnist").manifest.image
    assert preprocessing is not None
    try:
        check_image(data, field="file", max_pixels=MAX_PIXELS)
    except (InvalidInput, TooLarge):
        return
    try:
        decoded = decode_image(data, preprocessing, max_pixels=MAX_PIXELS)
        shown = thumbnail(data, max_side=64, max_pixels=MAX_PIXELS)
    except InvalidInput:
        # What is damaged in the middle is found when all of it is decoded: the item fails, with this code.
        return
    assert decoded.shape == (preprocessing.height, preprocessing.width, preprocessing.channels)
    assert np.isfinite(decoded).all()
    with Image.open(io.BytesIO(shown)) as thumb:
        assert max(thumb.size) <= 64


def read_csv(data: bytes) -> None:
    """Each row of a table that is taken is one that the model takes."""
    asked = version("diabetes")
    try:
        table = parse_table(asked.manifest, data, max_rows=1000, truth=asked.task)
    except (InvalidInput, TooLarge):
        return
    assert 0 < len(table.rows) <= 1000
    for row in table.rows:
        assert np.isfinite(stack_rows([row.to_bytes()])).all()


def read_json_in_pieces(data: bytes) -> None:
    """A long list in pieces is what it would be in one."""
    with mock.patch.multiple(json_pieces, FREE_BYTES=0, PIECE_BYTES=8):
        in_pieces = _outcome(lambda: _joined(data))
    whole = _outcome(lambda: read_json(data))
    assert in_pieces == whole, (in_pieces, whole)


def _joined(data: bytes) -> Any:
    value, long = json_pieces.read_with_long_list(data, "inputs")
    if long is None:
        return value
    return value | {"inputs": [element for piece in long for element in piece]}


def _outcome(read: Callable[[], Any]) -> str:
    try:
        return json.dumps(read(), sort_keys=True)
    except (NotJson, TooLarge, RecursionError) as exc:
        return type(exc).__name__


def read_form(data: bytes) -> None:
    """A form, with or without what its headers say of it."""
    request = StrictFormRequest(
        EnvironBuilder(
            method="POST", input_stream=io.BytesIO(data), content_length=len(data),
            content_type="multipart/form-data; boundary=b",
        ).get_environ()
    )  # fmt: skip
    try:
        fields, files = request.form, request.files
        for fault in repeated(fields, files):
            str(fault)
        for file in files.values():
            file.read()
            file.close()
    except (InvalidInput, TooLarge):
        return


def read_open_inference(data: bytes) -> None:
    """A header of JSON, raw tensors behind it. The first byte says of which model, two more how long the header is."""
    model = "diabetes" if data[:1] < b"\x80" else "fashion_mnist"
    head, body = int.from_bytes(data[1:3], "little"), data[3:]
    _ask(OpenInference(registry(), lambda _: 400), f"/v2/models/{model}/infer", body, _binary(head, body))


def _binary(head: int, body: bytes) -> Mapping[str, str]:
    return {} if head == len(body) else {"inference-header-content-length": str(head)}


def read_tensorflow_serving(data: bytes) -> None:
    """The first byte says of which model, and what is asked of it."""
    first = data[0] if data else 0
    model = ("diabetes", "fashion_mnist")[first & 1]
    verb = ("predict", "classify", "regress")[first % 3]
    _ask(TensorFlowServing(registry(), lambda _: 400), f"/v1/models/{model}:{verb}", data[1:], {})


def _ask(
    protocol: OpenInference | TensorFlowServing, path: str, body: bytes, headers: Mapping[str, str]
) -> None:
    try:
        protocol.read(HttpRequest("POST", path, headers, body))
    except CeleriacError as exc:
        protocol.write_error(exc)


def read_notification(data: bytes) -> None:
    """What a bucket tells; in front of a line feed stands a CloudEvent's media type, or nothing."""
    media_type, _, body = data.partition(b"\n")
    headers = {"content-type": media_type.decode("latin-1")}
    if media_type.startswith(b"ce-"):
        headers = {
            "ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": media_type.decode("latin-1"),
        }  # fmt: skip
    try:
        read = read_events(body, headers)
    except (InvalidInput, TooLarge):
        return
    for event in read.events:
        event.key.encode()
        assert "\0" not in event.key and len(event.key.encode()) <= 1024


def read_manifest(data: bytes) -> None:
    """A manifest that is taken comes out as it went in."""
    try:
        manifest = Manifest.model_validate_json(data)
    except ValueError:
        return
    assert Manifest.model_validate_json(manifest.to_json()) == manifest


def read_credentials(data: bytes) -> None:
    """What says who asks: the headers, a line each."""
    lines = [line.partition(b":") for line in data.split(b"\n")]
    headers = headers_of({"headers": [(name.lower(), value) for name, _, value in lines if name]})
    for read in (key_in, session_in):
        with contextlib.suppress(Unauthorized):
            if key := read(headers):
                fault_of(key)
                digest_of(key)


def image_seeds() -> Iterator[bytes]:
    picture = Image.radial_gradient("L").resize((24, 16))
    for kind, mode in [
        ("PNG", "L"), ("PNG", "P"), ("PNG", "RGBA"), ("PNG", "1"), ("JPEG", "L"), ("JPEG", "CMYK"), ("GIF", "P"),
        ("BMP", "RGB"), ("BMP", "P"), ("WEBP", "RGB"), ("PPM", "RGB"), ("PPM", "L"), ("PPM", "1"), ("TIFF", "RGB"),
    ]:  # fmt: skip
        file = io.BytesIO()
        picture.convert(mode).save(file, kind)
        yield file.getvalue()
    yield b"P2 2 2 255 1 2 # a\n 3 4"


def csv_seeds() -> Iterator[bytes]:
    yield (EXAMPLES / "patients.csv").read_bytes()[:600]
    line = ",".join(map(str, ROW)).encode()
    yield line + b"\n" + line
    yield line.replace(b".", b",").replace(b",", b";") + b"\r\n"
    yield b'\xef\xbb\xbfsep=;\n"6";148;72;35;0;"33,6";0,627;50;1\n'
    yield "\n".join([",".join(map(str, ROW))] * 3).encode("utf-16")


def json_seeds() -> Iterator[bytes]:
    rows: list[Any] = [ROW, {"bmi": 1.5, "text": 'a,b]"\\'}, [[0, 1], [2, 3]], None, True, "é\ud83d\ude00"]
    yield json.dumps({"model": "diabetes", "inputs": rows, "priority": "high"}).encode()
    yield json.dumps({"inputs": rows}).encode()
    yield b'{"a": {"inputs": [1, 2]}, "inputs" : [ 1 , 2 ] , "b": "]"}'
    yield b'{"inputs": [1e400, NaN, -0, 1.0, 12345678901234567890]}'
    yield b'{"inputs": [1], "inputs": [2]}'


def form_seeds() -> Iterator[bytes]:
    yield (
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nfashion_mnist\r\n--b\r\n'
        b'Content-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n\x89PNG'
        b"\r\n--b--\r\n"
    )
    yield b"--b\r\nContent-Disposition: form-data; name=\"csv\"; filename*=utf-8''%e4.csv\r\n\r\n1,2\r\n--b--"
    yield b"preamble\r\n--b\nContent-Disposition: form-data; name=x\nContent-Transfer-Encoding: base64\n\nAAAA\n--b--\n"


def open_inference_seeds() -> Iterator[bytes]:
    def told(model: bytes, body: dict[str, Any], tail: bytes = b"") -> bytes:
        head = json.dumps(body).encode()
        return model + len(head).to_bytes(2, "little") + head + tail

    raw = np.array([ROW], "<f4").tobytes()
    about = {"name": "input", "shape": [1, 8], "datatype": "FP32"}
    yield told(b"\0", {"inputs": [about | {"data": ROW}], "id": "a", "parameters": {"timeout": 1000}})
    outputs = [{"name": "output", "parameters": {"binary_data": True, "classification": 1}}]
    binary = about | {"parameters": {"binary_data_size": len(raw)}}
    yield told(b"\0", {"inputs": [binary], "outputs": outputs}, raw)
    png = next(image_seeds())
    element = len(png).to_bytes(4, "little") + png
    image = {"name": "image", "shape": [1], "datatype": "BYTES"}
    yield told(b"\xff", {"inputs": [image | {"parameters": {"binary_data_size": len(element)}}]}, element)
    yield told(b"\0", {"inputs": [{"name": "bmi", "shape": [1, 1], "datatype": "FP64", "data": [[1.0]]}]})


def tensorflow_serving_seeds() -> Iterator[bytes]:
    yield b"\0" + json.dumps({"instances": [ROW, dict.fromkeys(["bmi", "age"], 1.0)]}).encode()
    yield b"\0" + json.dumps({"inputs": {"input": [ROW]}, "signature_name": "serving_default"}).encode()
    yield b"\1" + json.dumps({"instances": [{"b64": "iVBORw0KGgo="}, [[0] * 28] * 28]}).encode()
    yield b"\4" + json.dumps({"context": {}, "examples": [{"glucose": 1, "bmi": [2.0]}]}).encode()


def notification_seeds() -> Iterator[bytes]:
    stored = {"bucket": {"name": "photos"}, "object": {"key": "in/a+b%20c.png", "size": 7, "eTag": "x"}}
    record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": stored}
    records = [record, record | {"eventSource": "ceph:s3"}, record | {"eventSource": "minio:s3"}]
    direct = json.dumps({"Records": records})
    yield b"\n" + direct.encode()
    yield b"\n" + json.dumps({"Type": "Notification", "TopicArn": "arn", "Message": direct}).encode()
    yield b"\n" + json.dumps({"Records": [{"body": direct}, {"Sns": {"Message": direct}}]}).encode()
    yield b"ce-com.amazonaws.s3.ObjectCreated:Put\n" + json.dumps(record).encode()
    google = {"bucket": "photos", "name": "a.png", "size": "7", "etag": "x"}
    yield b"ce-google.cloud.storage.object.v1.finalized\n" + json.dumps(google).encode()
    cloud = {
        "specversion": "1.0",
        "id": "1",
        "source": "aws:s3",
        "type": "com.amazonaws.s3.ObjectCreated:Put",
    }
    yield b"application/cloudevents+json\n" + json.dumps(cloud | {"data": record}).encode()
    yield b"application/cloudevents-batch+json\n" + json.dumps([cloud | {"data": record}] * 2).encode()
    blob = {
        "url": "https://x.blob.core.windows.net/c/in/a.png",
        "contentLength": 1,
        "eTag": "1",
        "api": "PutBlob",
    }
    about = {"type": "Microsoft.Storage.BlobCreated", "subject": "/blobServices/default/containers/c/blobs/a"}
    yield b"application/cloudevents+json\n" + json.dumps(cloud | about | {"data": blob}).encode()


def manifest_seeds() -> Iterator[bytes]:
    for each in sorted(BUILT_IN_MODEL_STORE.glob("*/*/manifest.json")):
        yield each.read_bytes()


def credentials_seeds() -> Iterator[bytes]:
    key = b"cel_" + b"0" * 36
    yield b"Authorization: Bearer " + key
    yield b"Authorization: Basic OmNlbF8wMDA=\nX-API-Key: " + key
    yield b'Cookie: a=b; celeriac_session="' + key + b'"; c\nX-API-Key: ' + key


DECODERS: Mapping[str, Decoder] = {
    "credentials": Decoder(read_credentials, credentials_seeds, (b"Bearer", b"Basic", b"celeriac_session=")),
    "csv": Decoder(read_csv, csv_seeds, (b'"', b"sep=", b"\xef\xbb\xbf", b"\xff\xfe", b"\r", b"glucose", b"outcome")),
    "form": Decoder(read_form, form_seeds, (b"--b", b"--b--", b"filename*=", b"Content-Disposition: form-data")),
    "image": Decoder(read_image, image_seeds, (b"IHDR", b"IDAT", b"tRNS", b"PLTE", b"Exif\0\0", b"\xff\xd8", b"VP8L")),
    "json": Decoder(read_json_in_pieces, json_seeds, (b'"inputs":[', b"],", b'"', b"\\u", b"NaN", b"1e999")),
    "manifest": Decoder(read_manifest, manifest_seeds, (b"null", b'"shape"', b"../")),
    "notification": Decoder(read_notification, notification_seeds, (b'"Records"', b'"Message"', b"%2F", b'"data"')),
    "open_inference": Decoder(read_open_inference, open_inference_seeds, (b"binary_data_size", b'"shape"', b"BYTES")),
    "tensorflow_serving": Decoder(read_tensorflow_serving, tensorflow_serving_seeds, (b'"b64"', b'"instances"')),
}  # fmt: skip
