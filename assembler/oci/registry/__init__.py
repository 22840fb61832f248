"""Registries: connections, authorization, retries, transfers.

    options, credentials    the user's options and credentials
    endpoints               the addresses of a registry: mirrors first, then itself
    transport               single HTTP requests: connections, trust, timeouts, proxies
    auth                    answers to challenges; tokens by their scope
    client                  oras for one endpoint, over the transport: redirects, retries, errors
    registries              the clients of a run; fallback from mirrors
    documents, blobs        fetching: bounded, verified, taken up after a cut
    uploads                 sending: what is there is not sent, what is near is mounted
    tree                    what an image is made of, and which part of it is wanted
    retry, workers          patience, and threads that let go at once
    failures, redact        what went wrong in people's words, without secrets

Pulling and pushing whole images are `assembler.oci.image_pull` and `assembler.oci.image_push`.
"""
