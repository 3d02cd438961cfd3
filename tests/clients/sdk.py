"""Drives every call for images of Cloudflare's SDK for Python.

The SDK itself reads `CLOUDFLARE_BASE_URL` and `CLOUDFLARE_API_TOKEN`. It checks every answer against the types that it declares.
"""

import asyncio
import hashlib
import hmac
import io
import json
import os
import sys
import time
import traceback
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import cloudflare
import httpx
from cloudflare import AsyncCloudflare, Cloudflare

ACCOUNT = os.environ["ACCOUNT"]
PICTURE = Path(os.environ["PICTURE"])  # a JPEG of 64 x 48
ORIGIN = os.environ["ORIGIN"]  # the URL of the same file
BYTES = PICTURE.read_bytes()

client = Cloudflare(_strict_response_validation=True)
v1 = client.images.v1
v2 = client.images.v2
checks = []


def check(name):
    """The function is a check of this name."""
    return lambda work: checks.append((name, work))


def same(actual, expected, what=""):
    assert actual == expected, f"{what} is {actual!r}, not {expected!r}"


def refused(work, kind, status, code):
    """Fails unless the work is refused with this class of error, status and number."""
    try:
        answer = work()
    except cloudflare.APIStatusError as error:
        assert isinstance(error, kind), repr(error)
        same((error.status_code, error.errors[0].code), (status, code), str(error))
        return error
    raise AssertionError(f"accepted: {answer!r}")


def upload(**fields):
    fields.setdefault("file", ("cat.jpg", BYTES, "image/jpeg"))
    return v1.create(account_id=ACCOUNT, **fields)


def get(name):
    return v1.get(name, account_id=ACCOUNT)


def blob(name):
    return v1.blobs.get(name, account_id=ACCOUNT).read()


def is_image(image):
    """Fails unless every field is there with its type. The SDK has checked those that are there."""
    assert isinstance(image.id, str), image
    assert isinstance(image.uploaded, datetime), image
    assert abs(image.uploaded - datetime.now(timezone.utc)) < timedelta(minutes=10), image
    assert image.require_signed_urls in (True, False), image
    assert image.variants and image.variants == sorted(image.variants), image
    if not (image.model_extra or {}).get("draft"):
        assert isinstance(image.filename, str), image
    return image


def ids(images):
    return [is_image(image).id for image in images]


def public_url(image):
    return next(url for url in image.variants if url.endswith("/public"))


def delivered(url, status=200):
    """The body behind a delivery URL, which must have this status."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            actual, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        actual, body = error.code, error.read()
    same(actual, status, f"{url} ({body[:100]!r})")
    return body


def post(url, **form):
    answer = httpx.post(url, **form)
    return answer.status_code, answer.json()


FILES = {
    "bytes": lambda: BYTES,
    "a path": lambda: PICTURE,
    "an open file": lambda: PICTURE.open("rb"),
    "bytes with a name": lambda: ("a cat.jpg", BYTES),
    "bytes with a name and a type": lambda: ("a cat.jpg", BYTES, "image/jpeg"),
    "bytes with a wrong type": lambda: ("a cat.jpg", BYTES, "text/plain"),
    "bytes in memory": lambda: io.BytesIO(BYTES),
}


def file_check(what, make):
    @check(f"upload {what}")
    def _():
        image = is_image(upload(file=make()))
        assert image.filename in ("upload", "cat.jpg", "a cat.jpg"), image.filename
        same(get(image.id), image)
        same(blob(image.id), BYTES)
        delivered(public_url(image))


for what, make in FILES.items():
    file_check(what, make)


@check("upload by URL")
def _():
    image = is_image(v1.create(account_id=ACCOUNT, url=ORIGIN, metadata={"from": "afar"}, require_signed_urls=False))
    same((image.filename, image.meta), ("cat.jpg", {"from": "afar"}))
    same(blob(image.id), BYTES)
    create = lambda: v1.create(account_id=ACCOUNT, url=ORIGIN + ".none")
    error = refused(create, cloudflare.BadRequestError, 400, 5454)
    assert "404" in error.errors[0].message, error


@check("metadata in fields of its own is text")
def _():
    metadata = {"k": 1, "yes": True, "deep": {"x": "y"}, "arr": ["a", "b"]}
    image = upload(id="fields", creator="u1", metadata=metadata, require_signed_urls=False)
    same(image.meta, {"k": "1", "yes": "true", "deep": {"x": "y"}, "arr": ["a", "b"]})
    same((image.creator, image.require_signed_urls), ("u1", False))


@check("metadata of many fields")
def _():
    metadata = {f"k{index}": "v" for index in range(90)}
    same(upload(metadata=metadata).meta, metadata)


@check("metadata as JSON keeps its types")
def _():
    metadata = {"k": 1, "yes": True, "none": None, "deep": {"x": ["é", 2]}}
    same(upload(metadata=json.dumps(metadata)).meta, metadata)


def id_check(name):
    @check(f"the ID {name}")
    def _():
        image = is_image(upload(id=name))
        same((image.id, get(name).id), (name, name))
        same(blob(name), BYTES)
        edited = v1.edit(name, account_id=ACCOUNT, metadata={"z": 1})
        same((edited.id, edited.meta, get(name).meta), (name, {"z": 1}, {"z": 1}))
        delivered(public_url(image))
        refused(lambda: upload(id=name), cloudflare.ConflictError, 409, 5409)
        v1.delete(name, account_id=ACCOUNT)
        refused(lambda: get(name), cloudflare.NotFoundError, 404, 5404)
        # It is free at once.
        same(upload(id=name).id, name)
        v1.delete(name, account_id=ACCOUNT)


for name in ["a/b%c d", "é ü", "x#y?z", "a/b/c.jpg", "50%", "a+b&c=d"]:
    id_check(name)


@check("wrong IDs are refused")
def _():
    for name in ["/a", "a/", "a//b", "2cdc28f0-017a-49c4-9ed7-87056c83901f", "x" * 1025]:
        refused(lambda: upload(id=name), cloudflare.BadRequestError, 400, 5411)


@check("edit")
def _():
    upload(id="edited", creator="u1", metadata={"a": "1"})
    image = is_image(v1.edit("edited", account_id=ACCOUNT, metadata={"z": 1}, creator="u2"))
    same((image.meta, image.creator), ({"z": 1}, "u2"))
    image = v1.edit("edited", account_id=ACCOUNT, require_signed_urls=True)
    same((image.meta, image.creator, image.require_signed_urls), ({"z": 1}, "u2", True))
    same(get(image.id), image)
    delivered(public_url(image), 403)


@check("delete")
def _():
    image = upload(id="deleted")
    same(v1.delete("deleted", account_id=ACCOUNT), {})
    refused(lambda: get("deleted"), cloudflare.NotFoundError, 404, 5404)
    refused(lambda: v1.delete("deleted", account_id=ACCOUNT), cloudflare.NotFoundError, 404, 5404)
    delivered(public_url(image), 404)


PAGED = [f"paged-{index:02}" for index in range(12)]


@check("images for the lists")
def _():
    for index, name in enumerate(PAGED):
        metadata = {"n": index, "status": "active" if index % 2 else "off", "region": {"name": ["us", "eu", "as"][index % 3]}}
        upload(id=name, creator="pages", metadata=json.dumps(metadata))


@check("list v1 finds all by iteration")
def _():
    found = []
    for page in v1.list(account_id=ACCOUNT, creator="pages", per_page=5):
        found += ids(page.images)
        assert len(found) <= len(PAGED), "it does not end"
    same(found, PAGED[::-1])


@check("list v1 finds all by iteration without waiting")
def _():
    async def iterate():
        found = []
        async with AsyncCloudflare(_strict_response_validation=True) as client:
            async for page in client.images.v1.list(account_id=ACCOUNT, creator="pages", per_page=5):
                found += ids(page.images)
                assert len(found) <= len(PAGED), "it does not end"
        return found

    same(asyncio.run(iterate()), PAGED[::-1])


@check("list v1 with page numbers")
def _():
    page = v1.list(account_id=ACCOUNT, creator="pages", page=3, per_page=5)
    same(ids(page.result.items[0].images), ["paged-01", "paged-00"])
    same((page.result_info.page, page.result_info.per_page), (3, 5))
    same(v1.list(account_id=ACCOUNT, creator="pages", page=4, per_page=5).has_next_page(), False)


@check("list v2 goes on with its token")
def _():
    for order, expected in [("asc", PAGED), ("desc", PAGED[::-1])]:
        found, token = [], cloudflare.omit if hasattr(cloudflare, "omit") else cloudflare.NOT_GIVEN
        while token is not None:
            page = v2.list(account_id=ACCOUNT, creator="pages", per_page=5, sort_order=order, continuation_token=token)
            assert page.images, "an empty page"
            found += ids(page.images)
            assert len(found) <= len(PAGED), "it does not end"
            token = page.continuation_token
        same(found, expected, order)
    wrong = lambda: v2.list(account_id=ACCOUNT, continuation_token="eyJhIjoxfQ")
    refused(wrong, cloudflare.BadRequestError, 400, 5400)


@check("list v2 by metadata")
def _():
    for filters, expected in [
        ({"status[eq]": "active"}, [1, 3, 5, 7, 9, 11]),
        ({"n[gte:number]": "9"}, [9, 10, 11]),
        ({"n[gt]": "1", "n[lt]": "4"}, [2, 3]),
        ({"region.name[in]": "us|as", "status[eq:string]": "off"}, [0, 2, 6, 8]),
        ({"n[eq]": "5"}, [5]),
        ({"n[eq:number]": "5"}, [5]),
        ({"n[eq:string]": "5"}, []),
    ]:
        query = {f"meta.{name}": value for name, value in filters.items()}
        page = v2.list(account_id=ACCOUNT, creator="pages", sort_order="asc", extra_query=query)
        same(ids(page.images), [PAGED[index] for index in expected], str(filters))
    page = v2.list(account_id=ACCOUNT, creator="pages", sort_order="asc", meta={"status[eq]": "active", "n[lte:number]": "3"})
    same(ids(page.images), ["paged-01", "paged-03"])
    wrong = lambda: v2.list(account_id=ACCOUNT, meta={"status[not-eq]": "x"})
    error = refused(wrong, cloudflare.BadRequestError, 400, 5400)
    same(error.errors[0].message, "Unsupported metadata filter operator: 'not-eq'")


@check("stats")
def _():
    before = v1.stats.get(account_id=ACCOUNT).count
    assert isinstance(before.allowed, (int, float)), before
    upload(id="counted")
    same(v1.stats.get(account_id=ACCOUNT).count.current, before.current + 1)
    v1.delete("counted", account_id=ACCOUNT)
    same(v1.stats.get(account_id=ACCOUNT).count.current, before.current)


def signed(url, key, seconds):
    parts = urlsplit(url)
    signature = hmac.new(key.encode(), f"{parts.path}?exp={seconds}".encode(), hashlib.sha256).hexdigest()
    return urlunsplit(parts._replace(query=f"exp={seconds}&sig={signature}"))


@check("keys")
def _():
    keys = lambda answer: {key.name: key.value for key in answer.keys}
    first = keys(v1.keys.list(account_id=ACCOUNT))
    same(set(first), {"default"})
    both = keys(v1.keys.update("second", account_id=ACCOUNT))
    same(set(both), {"default", "second"})
    url = public_url(upload(id="private", require_signed_urls=True))
    soon = int(time.time()) + 60
    delivered(url, 403)
    for value in both.values():
        delivered(signed(url, value, soon))
        delivered(signed(url, value, soon - 120), 403)
    same(set(keys(v1.keys.delete("second", account_id=ACCOUNT))), {"default"})
    delivered(signed(url, both["second"], soon + 1), 403)
    renewed = keys(v1.keys.delete("default", account_id=ACCOUNT))
    same(set(renewed), {"default"})
    assert renewed != first, "it is the same key"
    delivered(signed(url, renewed["default"], soon + 1))


@check("variants")
def _():
    variants = v1.variants
    options = {"fit": "scale-down", "width": 32, "height": 32, "metadata": "none"}
    image = upload(id="varied")
    made = variants.create(account_id=ACCOUNT, id="hero", options=options, never_require_signed_urls=True).variant
    same(made.to_dict(), {"id": "hero", "options": options, "neverRequireSignedURLs": True})
    same(variants.get("hero", account_id=ACCOUNT).variant.to_dict(), made.to_dict())
    same(variants.list(account_id=ACCOUNT).variants.hero.to_dict(), made.to_dict())
    url = get(image.id).variants[0]
    assert url.endswith("/hero"), url
    small = delivered(url)
    wider = {**options, "width": 48, "height": 48}
    edited = variants.edit("hero", account_id=ACCOUNT, options=wider, never_require_signed_urls=False).variant
    same(edited.to_dict(), {"id": "hero", "options": wider, "neverRequireSignedURLs": False})
    assert delivered(url) != small, "the old picture is still shown"
    again = lambda: variants.create(account_id=ACCOUNT, id="hero", options=options)
    refused(again, cloudflare.ConflictError, 409, 5409)
    refused(lambda: variants.delete("public", account_id=ACCOUNT), cloudflare.BadRequestError, 400, 5400)
    variants.delete("hero", account_id=ACCOUNT)
    refused(lambda: variants.get("hero", account_id=ACCOUNT), cloudflare.NotFoundError, 404, 5401)
    delivered(url, 403)


@check("direct upload without fields")
def _():
    draft = v2.direct_uploads.create(account_id=ACCOUNT)
    same(is_image(get(draft.id)).model_extra["draft"], True)
    assert draft.id not in ids(v2.list(account_id=ACCOUNT).images), "a draft is in a list"
    status, answer = post(draft.upload_url, files={"file": ("direct.jpg", BYTES, "image/jpeg")})
    same((status, answer["success"]), (200, True), str(answer))
    image = is_image(get(draft.id))
    same(image.filename, "direct.jpg")
    assert "draft" not in (image.model_extra or {})
    same(blob(draft.id), BYTES)
    status, _ = post(draft.upload_url, files={"file": BYTES})
    same(status, 409)


@check("direct upload with everything")
def _():
    expiry = datetime.now(timezone.utc) + timedelta(minutes=10)
    fields = {"id": "direct/é", "creator": "u3", "metadata": {"a": {"b": "c"}}, "require_signed_urls": True}
    draft = v2.direct_uploads.create(account_id=ACCOUNT, expiry=expiry, **fields)
    same(draft.id, "direct/é")
    status, answer = post(draft.upload_url, files={"file": ("é.jpg", BYTES, "image/jpeg")})
    same(status, 200, str(answer))
    image = is_image(get("direct/é"))
    same((image.creator, image.meta, image.filename, image.require_signed_urls), ("u3", {"a": {"b": "c"}}, "é.jpg", True))
    for seconds in [60, 7 * 3600]:
        expiry = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        create = lambda: v2.direct_uploads.create(account_id=ACCOUNT, expiry=expiry)
        error = refused(create, cloudflare.BadRequestError, 400, 5400)
        same(error.errors[0].message, "expiry is out of accepted bound.")


@check("config")
def _():
    path = f"/accounts/{ACCOUNT}/images/v1/config"
    url = public_url(upload(id="flexible")).removesuffix("public") + "w=16,fit=cover"
    delivered(url, 403)
    same(client.patch(path, cast_to=object, body={"flexible_variants": True})["result"]["flexible_variants"], True)
    delivered(url)
    same(client.get(path, cast_to=object)["result"]["flexible_variants"], True)
    client.patch(path, cast_to=object, body={"flexible_variants": False})
    delivered(url, 403)


@check("batch token")
def _():
    batch = client.get(f"/accounts/{ACCOUNT}/images/v1/batch_token", cast_to=object)["result"]
    ends = datetime.fromisoformat(batch["expiresAt"].replace("Z", "+00:00")) - datetime.now(timezone.utc)
    assert timedelta(minutes=50) < ends < timedelta(minutes=70), batch["expiresAt"]
    root = urlunsplit(urlsplit(str(client.base_url))._replace(path="/images/v1"))
    headers = {"Authorization": f"Bearer {batch['token']}"}
    status, answer = post(root, headers=headers, data={"id": "batched"}, files={"file": ("a.jpg", BYTES, "image/jpeg")})
    same((status, answer["result"]["id"]), (200, "batched"), str(answer))
    same(get("batched").id, "batched")


@check("a conflict is not tried again")
def _():
    requests = []
    counting = httpx.Client(event_hooks={"request": [requests.append]})
    counted = Cloudflare(http_client=counting).images.v1
    upload(id="taken")
    create = lambda: counted.create(account_id=ACCOUNT, id="taken", file=BYTES)
    error = refused(create, cloudflare.ConflictError, 409, 5409)
    assert "already exists" in error.errors[0].message, error
    same(len(requests), 1, "the number of requests")


@check("tokens")
def _():
    as_token = lambda token: Cloudflare(api_token=token).images.v1
    wrong = as_token("a-token-that-is-wrong")
    refused(lambda: wrong.stats.get(account_id=ACCOUNT), cloudflare.AuthenticationError, 401, 10000)
    reader = as_token(os.environ["READ_TOKEN"])
    same(reader.get("taken", account_id=ACCOUNT).id, "taken")
    refused(lambda: reader.delete("taken", account_id=ACCOUNT), cloudflare.PermissionDeniedError, 403, 10000)
    refused(lambda: v1.get("taken", account_id="another"), cloudflare.PermissionDeniedError, 403, 5403)


@check("what is no image is refused")
def _():
    refused(lambda: upload(file=b"hello"), cloudflare.APIStatusError, 415, 5455)
    refused(lambda: upload(file=b""), cloudflare.BadRequestError, 400, 5400)
    refused(lambda: upload(file=BYTES[:200]), cloudflare.BadRequestError, 400, 9422)
    refused(lambda: upload(url=ORIGIN), cloudflare.BadRequestError, 400, 5400)
    refused(lambda: upload(metadata={"a": "x" * 1100}), cloudflare.BadRequestError, 400, 5400)


failed = False
for name, work in checks:
    try:
        work()
        print(f"ok {name}")
    except Exception:
        failed = True
        print(f"FAILED {name}: {traceback.format_exc()}")
sys.exit(failed)
