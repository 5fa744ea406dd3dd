#!/usr/bin/python3
"""Writes jwt_vectors.h beside it: keys and tokens for tests/unit/test-jwt.c, made by OpenSSL (through
python3-cryptography), which shares no code with what verifies them. Not part of the build: keys are
random, so that every run makes another file. Run it, then clang-format-14 -i the file."""

import base64
import datetime
import json
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import (
    ec, ed448, ed25519, padding, rsa, utils, x25519)

PEM = serialization.Encoding.PEM
SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
FAR = 32503680000  # the year 3000


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def signed(alg, sign, claims):
    header = json.dumps({"alg": alg, "typ": "JWT"}).encode()
    text = b64(header) + b"." + b64(json.dumps(claims).encode())
    return (text + b"." + b64(sign(text))).decode()


def public(key, form=SPKI):
    return key.public_key().public_bytes(PEM, form).decode()


def certificate(key):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    day = datetime.datetime(2026, 1, 1)
    return x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(
        key.public_key()).serial_number(1).not_valid_before(day).not_valid_after(
        day + datetime.timedelta(days=1)).sign(key, hashes.SHA256()).public_bytes(PEM).decode()


def raw_es(key, text):
    r, s = utils.decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def vectors():
    ed = ed25519.Ed25519PrivateKey.generate()
    p256 = ec.generate_private_key(ec.SECP256R1())
    small, large = (rsa.generate_private_key(65537, bits) for bits in (2048, 4096))
    claims = {"id": "rooks", "a": "ro", "exp": FAR, "sub": "somebody"}
    pkcs1 = padding.PKCS1v15()
    point = p256.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    compressed = base64.b64encode(bytes.fromhex(
        "3039301306072a8648ce3d020106082a8648ce3d030107032200") + point).decode()

    yield "KEY_ED25519", public(ed)
    yield "KEY_ED25519_RAW", b64(ed.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw)).decode()
    yield "KEY_ED25519_OTHER", public(ed25519.Ed25519PrivateKey.generate())
    yield "KEY_P256", public(p256)
    yield "KEY_RSA", public(small)
    yield "KEY_RSA_4096", public(large)

    yield "TOKEN_EDDSA", signed("EdDSA", ed.sign, claims)
    yield "TOKEN_ES256", signed("ES256", lambda text: raw_es(p256, text), claims)
    yield "TOKEN_RS256", signed("RS256", lambda text: small.sign(text, pkcs1, hashes.SHA256()), claims)
    yield "TOKEN_RS256_4096", signed(
        "RS256", lambda text: large.sign(text, pkcs1, hashes.SHA256()), claims)
    yield "TOKEN_ES256_DER", signed(
        "ES256", lambda text: p256.sign(text, ec.ECDSA(hashes.SHA256())), claims)
    yield "TOKEN_ES256_ZERO", signed("ES256", lambda text: bytes(64), claims)
    yield "TOKEN_RS256_SHA512", signed(
        "RS256", lambda text: small.sign(text, pkcs1, hashes.SHA512()), claims)
    yield "TOKEN_RS256_PSS", signed("RS256", lambda text: small.sign(
        text, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()), claims)
    # RS256 says the header, Ed25519 made it, and the other way round.
    yield "TOKEN_RS256_BY_ED25519", signed("RS256", ed.sign, claims)
    yield "TOKEN_EDDSA_BY_RSA", signed(
        "EdDSA", lambda text: small.sign(text, pkcs1, hashes.SHA256()), claims)

    yield "BAD_PKCS1", public(small, serialization.PublicFormat.PKCS1)
    yield "BAD_CERTIFICATE", certificate(p256)
    yield "BAD_RSA_1024", public(rsa.generate_private_key(65537, 1024))
    yield "BAD_P384", public(ec.generate_private_key(ec.SECP384R1()))
    yield "BAD_SECP256K1", public(ec.generate_private_key(ec.SECP256K1()))
    yield "BAD_P256_COMPRESSED", f"-----BEGIN PUBLIC KEY-----\n{compressed}\n-----END PUBLIC KEY-----\n"
    yield "BAD_ED448", public(ed448.Ed448PrivateKey.generate())
    yield "BAD_X25519", public(x25519.X25519PrivateKey.generate())


def c_string(text, width=88):
    pieces = [text[i:i + width] for i in range(0, len(text), width)] if "\n" not in text else \
        text.splitlines(keepends=True)
    return " \\\n".join('    "' + piece.replace("\n", "\\n") + '"' for piece in pieces)


def main():
    lines = ["/* Made by tests/lib/jwt_vectors.py: do not edit. */",
             "#ifndef TESTS_LIB_JWT_VECTORS_H", "#define TESTS_LIB_JWT_VECTORS_H", ""]
    for name, text in vectors():
        lines += [f"#define {name} \\", c_string(text), ""]
    lines.append("#endif\n")
    pathlib.Path(__file__).with_suffix(".h").write_text("\n".join(lines))


main()
