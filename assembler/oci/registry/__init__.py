"""Registries: connections, authorization, retries, transfers.

    options, credentials    the user's options and credentials
    endpoints               the addresses of a registry: mirrors first, then itself
    transport               single HTTP requests: connections, trust, timeouts, proxies
    auth                    answers to challenges; tokens by their scope
    client                  oras for one endpoint, over the transport: redirects, retries, errors
    registries              the clients of a run; fallback from mirrors
    manifests, blob_download    fetching: bounded, verified, resumed after a broken connection
    blob_upload             sending blobs that the registry lacks, mounting those that it has
    manifest_tree           the manifests and blobs of an image for some platforms
    retry, workers          retries, and threads that stop at once
    unreachable             hosts that are not tried again
    failures, redaction     diagnostics of failures, without secrets

Pulling and pushing whole images are `assembler.oci.image_pull` and `assembler.oci.image_push`.
"""
