"""Codes of the stage "registries": pulling and pushing."""

from assembler.codes import Code

UNREACHABLE = Code(
    301,
    "A registry is unreachable",
    "No server answers at the address, or the connection fails repeatedly. Check the name, that "
    "the registry is running, and firewalls or proxies (HTTPS_PROXY, NO_PROXY). Partial downloads "
    "are kept: the next attempt continues them.",
)
UNKNOWN_HOST = Code(
    302,
    "The host name of a registry cannot be resolved",
    "The part of a reference before the first slash is the registry. If its spelling is right, "
    "check the network and the name resolution of this machine.",
)
TLS_REFUSED = Code(
    303,
    "The certificate of a registry is not trusted",
    "Dolmen uses https and trusts the certificate authorities of this machine. For a registry with "
    "its own authority, give the authority's certificate with `--cert-file CA.pem`. `--insecure "
    "HOST` disables the check of certificates for that host, and also allows plain http.",
)
ACCESS_DENIED = Code(
    304,
    "A registry denies access",
    "The registry requires authentication, or you do not have the permission. Dolmen takes "
    "credentials from `--registry-creds REGISTRY=USER:PASS`, from DOLMEN_REGISTRY_CREDS, and from "
    "Docker's config.json and its credential helpers, as written by `docker login REGISTRY`. Many "
    "registries also give this answer for names that do not exist.",
)
NOT_FOUND = Code(
    305,
    "A registry does not have the image or blob",
    "Check the name and the tag; names are case-sensitive, and without a tag the tag is `latest`. "
    "If the registry lists its tags, the message shows similar ones.",
)
TOO_MANY_REQUESTS = Code(
    306,
    "A registry received too many requests",
    "Dolmen waits as long as the registry asks, up to a limit, and tries again. If that is not "
    "enough, log in (many registries then allow more requests), or use a mirror with `--mirror`.",
)
SERVER_ERROR = Code(
    307,
    "A registry failed",
    "The registry, or a proxy in front of it, repeatedly answered with a server error (5xx). Try "
    "again later, or use a mirror with `--mirror`.",
)
NOT_A_REGISTRY = Code(
    308,
    "The server is not a registry",
    "The address belongs to another server: a web page, a captive portal, or a proxy that requires "
    "a login. Check the name and port of the registry, and the proxy settings.",
)
WRONG_CONTENT = Code(
    309,
    "A registry sent content that does not match its digest or size",
    "Dolmen checks all content before it enters the store, and discarded this. The copy of the "
    "registry, or of a mirror or proxy, is corrupt: push it again, or do not use the mirror.",
)
STALLED = Code(
    310,
    "A registry stopped sending data",
    "The connection was idle for too long, a blob came too slowly, or a manifest took too long, "
    "several times. Partial downloads are kept: the next attempt continues them.",
)
BAD_REDIRECT = Code(
    311,
    "A registry redirects to a forbidden address",
    "Registries may redirect to another host for content, but not in circles, and not from https "
    "to plain http, which others could read. To allow plain http, name the other host with "
    "`--insecure HOST`.",
)
TOKEN_REFUSED = Code(
    312,
    "The token service of a registry does not issue a token",
    "Large registries issue short-lived tokens from a separate host. Its answer was not valid; the "
    "message describes it.",
)
BAD_MIRROR = Code(
    313,
    "An invalid mirror",
    "A mirror is `[REGISTRY=]URL`: `--mirror https://mirror.example.com` for all registries, "
    "`--mirror docker.io=http://127.0.0.1:5000` for one. A path in the URL is a prefix of the "
    "repository names. Mirrors are tried in order, the registry itself last.",
)
BAD_CREDENTIALS = Code(
    314,
    "Credentials cannot be read",
    "Credentials are REGISTRY=USER:PASS or REGISTRY=TOKEN, or come from Docker's config.json, a "
    "JSON file. A credential helper is a program docker-credential-NAME in the PATH.",
)
TAG_EXISTS = Code(
    315,
    "The tag belongs to another image",
    "The push would replace an image that others may use. `--override` replaces it; otherwise "
    "choose another tag.",
)
PUSH_REFUSED = Code(
    316,
    "A registry refuses a push",
    "The message has the answer of the registry. Some registries require that a repository is "
    "created first, limit sizes, or refuse certain types of manifests.",
)
MIRROR_FAILED = Code(
    317,
    "A mirror failed",
    "Dolmen used the next mirror or the registry itself instead. Only time was lost.",
)
INCOMPLETE_IMAGE = Code(
    318,
    "An image in the store is incomplete",
    "An image can be pushed when the store has all of its blobs. A build only pulls the platform "
    "that it needs; `dolmen cache pull NAME` pulls all platforms.",
)
