"""Verification of detached PKCS #7 signatures, as the kernel and firmware verify them."""

from __future__ import annotations

from assembler.media import der

_EXPLICIT = 0xA0


def detached_signers(data: bytes, content: bytes) -> list[str]:
    """Return the fingerprints (SHA-256) of the certificates whose keys have signed a content.

    `data` is a SignedData, or a ContentInfo with one, as DER, with certificates and without
    attributes. ValueError says that it is of another form.
    """
    from cryptography import x509  # noqa: PLC0415
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: PLC0415

    try:
        parts = der.parse(data).need(der.SEQUENCE).values()
        if parts[0].tag == der.OID:
            parts = der.parse(parts[1].need(_EXPLICIT).content).need(der.SEQUENCE).values()
        certificates = [
            x509.load_der_x509_certificate(one.encoded)
            for one in der.parse_all(parts[3].need(_EXPLICIT).content)
        ]
        found = []
        for information in parts[-1].need(der.SET).values():
            _, issuer, digest, *_, signature = information.values()
            if digest.encoded != der.SHA256:
                raise ValueError("it does not use SHA-256")
            for one in certificates:
                serial = der.integer(one.serial_number)
                if der.sequence(one.issuer.public_bytes(), serial) != issuer.encoded:
                    continue
                key = one.public_key()
                if not isinstance(key, rsa.RSAPublicKey):
                    raise ValueError("it does not use RSA")  # noqa: TRY004
                try:
                    key.verify(
                        signature.need(der.OCTETS).content,
                        content,
                        padding.PKCS1v15(),
                        hashes.SHA256(),
                    )
                except InvalidSignature:
                    continue
                found.append(one.fingerprint(hashes.SHA256()).hex())
    except (IndexError, TypeError) as error:
        raise ValueError("it is not a signature of PKCS #7") from error
    return found
