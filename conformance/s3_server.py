"""An object store on loopback that speaks as much of Amazon's S3 as `lanza server --blobs s3://…` uses.

Objects are kept in memory, as plain names below one bucket. Each request must carry a valid signature (version 4) of the
one key that the store knows, so a test sees that the settings of the server's environment arrive. It is written here
because the servers that can be installed bring a hundred megabytes of packages for these six requests.
"""

import hashlib
import hmac
import threading
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.etree import ElementTree

KEY, SECRET, REGION = "AKCONFORMANCE", "a secret of the conformance tests", "test-region-1"


class S3Server:
    """One bucket. `objects` has what is stored whole, `uploads` what is being uploaded in parts."""

    def __init__(self, bucket: str):
        self.bucket = bucket
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.calls: list[tuple[str, str]] = []
        self.refused: list[str] = []
        # Objects that were read by a link which somebody with the key had signed.
        self.by_link: list[str] = []
        self.lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    @property
    def environment(self) -> dict:
        """The settings with which a program reaches it."""
        return {
            "AWS_ENDPOINT": f"http://127.0.0.1:{self._http.server_address[1]}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def signed_fields(target: str, headers) -> dict:
    """What a request says of its signature: in a header, or in the link itself."""
    if "authorization" in headers:
        fields = dict(part.strip().split("=", 1) for part in headers["authorization"].split(" ", 1)[1].split(","))
        return fields | {"Date": headers["x-amz-date"], "Content": headers["x-amz-content-sha256"]}
    link = {k.removeprefix("X-Amz-"): v for k, v in parse_qsl(urlsplit(target).query, True)}
    made = datetime.strptime(link["Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    if not timedelta(0) <= datetime.now(timezone.utc) - made < timedelta(seconds=int(link["Expires"])):
        raise ValueError("the link has expired")
    return link | {"Content": "UNSIGNED-PAYLOAD"}


def signature(method: str, target: str, headers) -> str:
    """The signature that a request should have, from its own list of signed headers."""
    fields = signed_fields(target, headers)
    scope = fields["Credential"].split("/", 1)[1]
    names = fields["SignedHeaders"].split(";")
    parts = urlsplit(target)
    query = sorted(
        (quote(k, safe="-_.~"), quote(v, safe="-_.~"))
        for k, v in parse_qsl(parts.query, True)
        if k != "X-Amz-Signature"
    )
    request = "\n".join(
        [
            method,
            quote(unquote(parts.path), safe="/-_.~"),
            "&".join(f"{k}={v}" for k, v in query),
            *(f"{name}:{' '.join(headers[name].split())}" for name in names),
            "",
            ";".join(names),
            fields["Content"],
        ]
    )
    text = f"AWS4-HMAC-SHA256\n{fields['Date']}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = b"AWS4" + SECRET.encode()
    for step in (*scope.split("/"), text):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    return f"{fields['Credential'].split('/')[0]} {key.hex()}"


def _handler(store: S3Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self, status: int, body: bytes = b"", **headers) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            if "Content_Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def error(self, status: int, code: str) -> None:
            self.answer(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            parts = urlsplit(self.path)
            query = dict(parse_qsl(parts.query, True))
            _, bucket, name = (unquote(parts.path) + "/").split("/", 2)
            name = name.removesuffix("/")
            try:
                given = signed_fields(self.path, self.headers)
                good = signature(self.command, self.path, self.headers)
                known = f"{given['Credential'].split('/')[0]} {given['Signature']}" == good and good.startswith(KEY)
                # Neither a session's token nor another region is among the settings.
                known &= "x-amz-security-token" not in self.headers and f"/{REGION}/s3/" in given["Credential"]
            except (AttributeError, IndexError, KeyError, TypeError, ValueError):
                known = False
            if not known:
                store.refused.append(f"{self.command} {self.path}")
                return self.error(403, "SignatureDoesNotMatch")
            if bucket != store.bucket:
                return self.error(404, "NoSuchBucket")
            if "X-Amz-Signature" in query:
                store.by_link.append(name)
            with store.lock:
                store.calls.append((self.command, parts.query.split("=")[0]))
                getattr(self, f"on_{self.command.lower()}")(name, query, body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

        def on_get(self, name: str, query: dict, body: bytes) -> None:
            data = store.objects.get(name)
            if data is None:
                return self.error(404, "NoSuchKey")
            headers = {
                "ETag": f'"{hashlib.md5(data).hexdigest()}"',
                "Last_Modified": "Wed, 21 Oct 2026 07:28:00 GMT",
                "Accept_Ranges": "bytes",
            }
            if self.command == "HEAD":
                return self.answer(200, b"", Content_Length=str(len(data)), **headers)
            if wanted := self.headers.get("range"):
                first, last = wanted.removeprefix("bytes=").split("-")
                begin, end = int(first), min(int(last) + 1 if last else len(data), len(data))
                return self.answer(206, data[begin:end], Content_Range=f"bytes {begin}-{end - 1}/{len(data)}", **headers)
            return self.answer(200, data, **headers)

        on_head = on_get

        def on_put(self, name: str, query: dict, body: bytes) -> None:
            if "uploadId" in query:
                store.uploads[query["uploadId"]][int(query["partNumber"])] = body
            else:
                store.objects[name] = body
            self.answer(200, ETag=f'"{hashlib.md5(body).hexdigest()}"')

        def on_post(self, name: str, query: dict, body: bytes) -> None:
            if "uploads" in query:
                upload = f"upload-{len(store.calls)}"
                store.uploads[upload] = {}
                text = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
                return self.answer(200, text.encode(), Content_Type="application/xml")
            parts = store.uploads.pop(query["uploadId"])
            for element in ElementTree.fromstring(body).iter():
                if element.tag.endswith("Part"):
                    found = {child.tag.split("}")[-1]: child.text for child in element}
                    md5 = hashlib.md5(parts[int(found["PartNumber"])]).hexdigest()
                    if found["ETag"].strip('"') != md5:
                        return self.error(400, "InvalidPart")
            store.objects[name] = b"".join(parts[number] for number in sorted(parts))
            text = "<CompleteMultipartUploadResult><ETag>done</ETag></CompleteMultipartUploadResult>"
            self.answer(200, text.encode(), Content_Type="application/xml")

        def on_delete(self, name: str, query: dict, body: bytes) -> None:
            if "uploadId" in query:
                store.uploads.pop(query["uploadId"], None)
            else:
                store.objects.pop(name, None)
            self.answer(204)

    return Handler
