"""Codes of the stage "registries": pulling and pushing."""

from assembler.codes import Code

UNREACHABLE = Code(
    301,
    "A registry cannot be reached",
    "Nobody answers at the address, or the connection breaks again and again. Is the name right, "
    "is the registry running, does a firewall or a proxy stand between (HTTPS_PROXY, NO_PROXY)? "
    "What has arrived is kept: the next attempt goes on from there.",
)
UNKNOWN_HOST = Code(
    302,
    "The name of a registry is not known to the name service",
    "The part of the image name before the first slash is the registry. If it is spelt right, "
    "check the network and the name service of this machine.",
)
TLS_REFUSED = Code(
    303,
    "A registry's certificate is not trusted",
    "Dolmen speaks https and trusts the certificate authorities of this machine. For a registry "
    "with an authority of its own, give its certificate with `--cert-file CA.pem`. "
    "`--insecure HOST` speaks to that host without looking at its certificate, or in plain http.",
)
DENIED = Code(
    304,
    "A registry does not let you in",
    "The registry wants to know who you are, or does not allow you what was asked for. Credentials "
    "are taken from `--registry-creds REGISTRY=USER:PASS`, from DOLMEN_REGISTRY_CREDS, and from "
    "Docker's config.json with its helpers, as `docker login REGISTRY` writes it. Many registries "
    "give this answer, too, for names that do not exist.",
)
NOT_FOUND = Code(
    305,
    "A registry does not have what was asked for",
    "Check the name and the tag; names are case-sensitive, and a missing tag means `latest`. "
    "If the registry lists its tags, the message shows some that are close.",
)
TOO_MANY_REQUESTS = Code(
    306,
    "A registry says that it was asked too often",
    "Dolmen waits for as long as the registry wants, within reason, and tries again. If that is "
    "not enough, log in (many registries allow more then), or use a mirror with `--mirror`.",
)
SERVER_FAILED = Code(
    307,
    "A registry has failed",
    "The registry, or a proxy before it, answered with an error of its own (5xx), several times. "
    "Try later, or use a mirror with `--mirror`.",
)
NOT_A_REGISTRY = Code(
    308,
    "What answered does not speak like a registry",
    "Something else is at that address: a web page, a captive portal, a proxy that wants a login. "
    "Check the registry's name and port, and the settings of the proxy.",
)
WRONG_CONTENT = Code(
    309,
    "A registry sent something else than its digest or size says",
    "Everything is checked before it enters the store, and this did not pass; nothing of it was "
    "kept. The copy at the registry, or at a mirror or proxy on the way, is damaged: push it "
    "again, or go round the mirror.",
)
STALLED = Code(
    310,
    "A registry stopped answering",
    "The connection stood for longer than Dolmen waits without a single byte, several times. "
    "What has arrived is kept: the next attempt goes on from there.",
)
BAD_REDIRECT = Code(
    311,
    "A registry sends us where we do not go",
    "Registries may send us to another host for the content itself, but not in circles, and not "
    "from https to plain http, where anybody on the way could read along. If that is really "
    "wanted, name the other host with `--insecure HOST`.",
)
TOKEN_REFUSED = Code(
    312,
    "The token service of a registry gives no token",
    "Large registries give out short-lived tokens at a host of their own. It did not answer as it "
    "should; the message says what came.",
)
BAD_MIRROR = Code(
    313,
    "Not a mirror",
    "A mirror is given as `[REGISTRY=]URL`: `--mirror https://mirror.example.com` for all "
    "registries, `--mirror docker.io=http://127.0.0.1:5000` for one. A path in the URL is put "
    "before the names of repositories. Several are tried in order, the registry itself last.",
)
BAD_CREDENTIALS = Code(
    314,
    "Credentials cannot be read",
    "Credentials are given as REGISTRY=USER:PASS, or REGISTRY=TOKEN, or stand in Docker's "
    "config.json, which is JSON. A credential helper is a program docker-credential-NAME in the "
    "PATH.",
)
TAG_TAKEN = Code(
    315,
    "The tag stands for another image already",
    "Pushing would replace what others may be using. If that is wanted, push with `--override`; "
    "else choose another tag.",
)
PUSH_REFUSED = Code(
    316,
    "A registry does not take what was pushed",
    "The message has the registry's own words. Some registries want a repository to be made "
    "first, limit sizes, or do not take certain kinds of manifests.",
)
MIRROR_FAILED = Code(
    317,
    "A mirror did not help",
    "The next mirror, or the registry itself, was asked instead. Nothing is lost but time.",
)
NOT_COMPLETE = Code(
    318,
    "Not all of an image is in the store",
    "An image can be pushed when the store has all of it. A build fetches only the platform it "
    "needs; `dolmen cache pull NAME` fetches all of them.",
)
