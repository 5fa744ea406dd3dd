// A key and tokens for sqld, as JSON: its Ed25519 public key in PEM, a token that may do all, one that may read.
import { generateKeyPairSync, sign } from "node:crypto";

const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const token = (claims) => {
    const text = `${encode({ alg: "EdDSA", typ: "JWT" })}.${encode({ exp: Math.floor(Date.now() / 1000) + 3600, ...claims })}`;
    return `${text}.${sign(null, Buffer.from(text), privateKey).toString("base64url")}`;
};
console.log(JSON.stringify({
    key: publicKey.export({ type: "spki", format: "pem" }),
    token: token({ a: "rw" }),
    readToken: token({ a: "ro" }),
}));
