// One webhook on standard input, as JSON: {secret, public_key, headers, body}. Prints what holds.
import { createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";

const given = JSON.parse(readFileSync(0, "utf8"));
const found = { v1: false, v1a: false, error: null };
try {
  new Webhook(given.secret).verify(given.body, given.headers);
  found.v1 = true;
} catch (error) {
  found.error = error.message;
}
const der = Buffer.concat([
  Buffer.from("302a300506032b6570032100", "hex"), // RFC 8410: an Ed25519 public key follows
  Buffer.from(given.public_key.slice("whpk_".length), "base64"),
]);
const key = createPublicKey({ key: der, format: "der", type: "spki" });
const signed = `${given.headers["webhook-id"]}.${given.headers["webhook-timestamp"]}.${given.body}`;
found.v1a = given.headers["webhook-signature"]
  .split(" ")
  .filter((one) => one.startsWith("v1a,"))
  .some((one) => verify(null, Buffer.from(signed), key, Buffer.from(one.slice(4), "base64")));
console.log(JSON.stringify(found));
