"""JSON web tokens made by OpenSSL (python3-cryptography), which shares no code with the server."""

import base64
import hashlib
import hmac
import json

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(value):
    """A header or claims: a value, or the text as it is."""
    return b64(value.encode() if isinstance(value, str) else json.dumps(value).encode())


class Key:
    """A private key of one algorithm."""

    def __init__(self, alg="EdDSA"):
        self.alg = alg
        if alg == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.generate()
        elif alg == "ES256":
            self.private = ec.generate_private_key(ec.SECP256R1())
        else:
            self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def pem(self):
        return self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def raw(self):
        """An Ed25519 key as sqld's files have it."""
        return b64(self.private.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw))

    def signature(self, text):
        if self.alg == "EdDSA":
            return self.private.sign(text)
        if self.alg == "ES256":
            r, s = utils.decode_dss_signature(self.private.sign(text, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return self.private.sign(text, padding.PKCS1v15(), hashes.SHA256())

    def token(self, _claims=None, _header=None, **claims):
        head = {"alg": self.alg, "typ": "JWT", **(_header or {})}
        text = part(head) + "." + part(claims if _claims is None else _claims)
        return text + "." + b64(self.signature(text.encode()))


def unsigned(claims):
    return part({"alg": "none", "typ": "JWT"}) + "." + part(claims) + "."


def with_hmac(secret, claims, alg="HS256", **header):
    text = part({"alg": alg, "typ": "JWT", **header}) + "." + part(claims)
    return text + "." + b64(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())
