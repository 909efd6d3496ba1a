// The tokens of this machine: their PINs, keys and certificates.

import { $, call, cell, day, describe, say } from "./bridge.js";

const SUITES = { software: ["sm2-sm3", "ecdsa-p256-sha256"], pkcs11: ["ecdsa-p256-sha256", "rsa-sha256"] };
const DONE = { pin: "PIN 已修改。", csr: "新密钥已生成，等待证书。", certificate: "证书已安装。" };

function draw(token) {
  const card = $("token").content.cloneNode(true);
  card.querySelector("h2").textContent = token.label;
  const certificate = token.certificate_serial
    ? `${token.certificate_serial}，有效至 ${day(token.valid_to)}` : "尚未安装";
  describe(card.querySelector("dl"), token.problem ? [["不能使用", token.problem]] : [
    ["持有人", token.holder], ["证书", certificate], ...(token.subject ? [["主体", token.subject]] : []),
    ["PIN", token.tries_left ? `还可以试 ${token.tries_left} 次` : "已锁定"],
    ...(token.awaits_certificate ? [["新密钥", "等待证书"]] : []),
  ]);
  if (token.problem || !token.tries_left) card.querySelectorAll("details").forEach((part) => part.remove());
  card.querySelector("select")?.append(...(SUITES[token.driver] ?? []).map((name) => cell("option", name)));
  card.querySelectorAll("form").forEach((form) => {
    form.dataset.path = `/tokens/${encodeURIComponent(token.label)}/${form.dataset.verb}`;
  });
  return card;
}

async function refresh() {
  const { ok, value, error } = await call("/info");
  if (!ok) return say($("trouble"), error.message);
  $("tokens").replaceChildren(...value.tokens.map(draw));
  return undefined;
}

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const { again, ...body } = Object.fromEntries(new FormData(form));
  say($("trouble"), "");
  say($("done"), "");
  if (again !== undefined && again !== (body.new_pin ?? body.pin)) {
    say($("trouble"), "两次输入的 PIN 不同。");
    return;
  }
  const { ok, value, error } = await call(form.dataset.path ?? "/tokens", body);
  form.querySelectorAll("input[type=password]").forEach((field) => { field.value = ""; });
  await refresh();
  if (!ok) {
    say($("trouble"), error.message);
    return;
  }
  say($("done"), DONE[form.dataset.verb] ?? "UKey 已新建，等待证书。");
  $("request").hidden = !value.csr;
  $("csr").value = value.csr ?? "";
  if (value.csr) $("csr").select();
  if (form.id === "new") form.reset();
});

await refresh();
