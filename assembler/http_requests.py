"""HTTP sessions whose only credentials are those in a URL; requests also reads ~/.netrc."""

from __future__ import annotations

import requests
import requests.auth
import requests.utils

from assembler.transfer_limits import BoundedAdapter


class HttpSession(requests.Session):
    """A session that sends the credentials of a URL to its host, and no others."""

    def __init__(self) -> None:
        """Start without connections."""
        super().__init__()
        # With this, requests does not search ~/.netrc; proxies and authorities of the
        # environment stay in use.
        self.auth = _authorize_by_url
        for scheme in ("http://", "https://"):
            self.mount(scheme, BoundedAdapter())

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Remove credentials from a request that is redirected to another host."""
        before, after = str(response.request.url), str(prepared_request.url)
        if self.should_strip_auth(before, after):  # type: ignore[no-untyped-call]
            prepared_request.headers.pop("Authorization", None)


def _authorize_by_url(request: requests.PreparedRequest) -> requests.PreparedRequest:
    user, password = requests.utils.get_auth_from_url(str(request.url))
    if user or password:
        requests.auth.HTTPBasicAuth(user, password)(request)
    return request
