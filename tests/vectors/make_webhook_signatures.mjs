// Run in an empty folder: npm install standardwebhooks && node <path to this file> > <path to webhook_signatures.json>
import { createHmac } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";

const { Webhook } = createRequire(join(process.cwd(), "package.json"))("standardwebhooks");

// Nothing here is random, so that a second run writes the same file.
const secretOf = (name, bytes) => {
  const key = createHmac("sha512", "vectors").update(name).digest().subarray(0, bytes);
  return `whsec_${key.toString("base64")}`;
};

const cases = [
  ["24 bytes of key", 24, 1614265330, '{"test": 2432232314}'],
  ["32 bytes of key", 32, 1700000000, '{"type":"export.completed","data":{"id":"1f81eb52"}}'],
  ["64 bytes of key", 64, 1893456000, "{}"],
  ["an empty body", 32, 1700000001, ""],
  ["white space as it stands", 32, 1700000002, '{\n  "a" : 1,\r\n\t"b" : [ ]\n}\n'],
  ["letters outside ASCII", 32, 1700000003, '{"name":"Zoë Ünal 東京 🎉"}'],
  ["escapes that stay escapes", 32, 1700000004, '{"name":"\\u00e9\\u2028\\/"}'],
  ["a line separator", 32, 1700000005, '{"text":"\u2028\u2029\u0085"}'],
  ["a combining accent", 32, 1700000006, '{"name":"e\u0301"}'],
  ["full stops in the body", 32, 1700000007, '{"a":"msg.1.2..3"}'],
  ["the first second", 32, 0, '{"a":1}'],
  ["a second after 2038", 32, 4102444800, '{"a":1}'],
  ["a body of 4 KB", 32, 1700000008, `{"a":"${"x".repeat(4096)}"}`],
];

const vectors = cases.map(([name, bytes, timestamp, body], place) => {
  const secret = secretOf(name, bytes);
  const id = `msg_${createHmac("sha256", "ids").update(name).digest("hex").slice(0, 27 + place)}`;
  const signature = new Webhook(secret).sign(id, new Date(timestamp * 1000), body);
  return { name, secret, id, timestamp, body, signature };
});
console.log(JSON.stringify(vectors, null, 2));
