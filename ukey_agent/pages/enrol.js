// A key and its request for the site's enrolment page; later the certificate onto the token.

import { $, answer, call, describe, firstRequest, giveUp, say } from "./bridge.js";

const NEW = "";
let refusal = { code: "cancelled", message: "已取消。" };
let act = null;

function stop(error) {
  refusal = error;
  say($("trouble"), error.message);
  $("go").disabled = true;
  $("cancel").firstChild.textContent = "关闭 ";
  $("cancel").focus();
}

function toggleNew() {
  $("new-fields").hidden = $("again-fields").hidden = $("token").value !== NEW;
}

async function askForKey({ holder, suite }) {
  $("what").textContent = `为 ${holder} 生成密钥`;
  const { ok, value, error } = await call("/info");
  if (!ok) return stop(error);
  const usable = value.tokens.filter((token) => !token.problem && token.tries_left > 0);
  $("token").replaceChildren(
    new Option("新建 UKey", NEW),
    ...usable.map((token) => new Option(`${token.label} · ${token.holder}`, token.label)),
  );
  $("label").value = holder;
  $("key-fields").hidden = false;
  toggleNew();
  $("go").disabled = false;
  $("pin").focus();
  act = async () => {
    const [label, pin] = [$("token").value, $("pin").value];
    if (label !== NEW) return call(`/tokens/${encodeURIComponent(label)}/csr`, { pin, suite });
    if (pin !== $("again").value) return { ok: false, error: { code: "pin_differs", message: "两次输入的 PIN 不同。" } };
    return call("/tokens", { label: $("label").value.trim(), holder, suite, pin });
  };
  return undefined;
}

function askToInstall({ label, certificate, subject }) {
  $("what").textContent = "安装证书";
  describe($("who"), [["UKey", label], ["证书", subject]]);
  $("go").disabled = false;
  $("go").focus();
  act = () => call(`/tokens/${encodeURIComponent(label)}/certificate`, { certificate });
}

$("token").addEventListener("change", toggleNew);
$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if ($("go").disabled || !act) return;
  $("go").disabled = true;
  say($("trouble"), "");
  const { ok, value, error } = await act();
  if (ok) answer(value);
  else if (error.code === "pin_locked") stop(error);
  else {
    say($("trouble"), error.message);
    $("pin").value = $("again").value = "";
    $("go").disabled = false;
    if (!$("key-fields").hidden) $("pin").focus();
  }
});
$("cancel").addEventListener("click", () => giveUp(refusal));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") giveUp(refusal);
});

const request = await firstRequest();
const text = (value) => typeof value === "string" && value !== "";
if (request.request === "csr" && text(request.holder)) {
  await askForKey({ holder: request.holder, suite: text(request.suite) ? request.suite : "sm2-sm3" });
} else if (request.request === "install" && text(request.label) && text(request.certificate)) {
  askToInstall({ label: request.label, certificate: request.certificate, subject: String(request.subject ?? "") });
} else stop({ code: "bad_request", message: "网站的请求无法理解。" });
