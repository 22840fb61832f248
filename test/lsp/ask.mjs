// Plays an editor: opens a YAML file in yaml-language-server, asks what completes a place, what
// a place means and what is wrong, and prints the answers as JSON.
//
//   node ask.mjs SERVER FILE LINE:COLUMN...        lines and columns count from 0
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [server, file, ...places] = process.argv.slice(2);
const child = spawn(process.execPath, [server, "--stdio"], { stdio: ["pipe", "pipe", "inherit"] });
const uri = pathToFileURL(file).href;
const waiting = new Map();
let number = 0;
let diagnostics = () => {};
const checked = new Promise((resolve) => { diagnostics = resolve; });

function send(message) {
  const body = JSON.stringify({ jsonrpc: "2.0", ...message });
  child.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

function ask(method, params) {
  const id = ++number;
  send({ id, method, params });
  return new Promise((resolve) => waiting.set(id, resolve));
}

function take(message) {
  if (message.method === "workspace/configuration") {
    const settings = { validate: true, completion: true, hover: true, schemaStore: { enable: false } };
    const result = message.params.items.map((i) => (i.section === "yaml" ? settings : null));
    send({ id: message.id, result });
  } else if (message.method === "textDocument/publishDiagnostics") {
    diagnostics(message.params.diagnostics);
  } else if (message.method && message.id !== undefined) {
    send({ id: message.id, result: null });
  } else if (waiting.has(message.id)) {
    waiting.get(message.id)(message.result);
    waiting.delete(message.id);
  }
}

let buffer = Buffer.alloc(0);
child.stdout.on("data", (piece) => {
  buffer = Buffer.concat([buffer, piece]);
  for (;;) {
    const end = buffer.indexOf("\r\n\r\n");
    if (end < 0) return;
    const length = Number(/Content-Length: (\d+)/i.exec(buffer.subarray(0, end))[1]);
    if (buffer.length < end + 4 + length) return;
    take(JSON.parse(buffer.subarray(end + 4, end + 4 + length)));
    buffer = buffer.subarray(end + 4 + length);
  }
});

await ask("initialize", {
  processId: process.pid,
  rootUri: null,
  capabilities: { workspace: { configuration: true }, textDocument: {} },
});
send({ method: "initialized", params: {} });
const text = readFileSync(file, "utf8");
send({
  method: "textDocument/didOpen",
  params: { textDocument: { uri, languageId: "yaml", version: 1, text } },
});
const found = { diagnostics: (await checked).map((d) => d.message), completions: [], hovers: [] };
for (const place of places) {
  const [line, character] = place.split(":").map(Number);
  const at = { textDocument: { uri }, position: { line, character } };
  const completion = await ask("textDocument/completion", at);
  found.completions.push((completion?.items ?? []).map((i) => i.label));
  const hover = await ask("textDocument/hover", at);
  found.hovers.push(hover?.contents?.value ?? "");
}
process.stdout.write(JSON.stringify(found));
child.kill();
process.exit(0);
