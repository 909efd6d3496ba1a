// Logging in with the UKey, and the way to a certificate: a key and its request, later the certificate onto the UKey.

import { enrol, installCertificate, signStatement, UKeyError } from "./ukey.js";

const live = document.getElementById("live");

function say(text) {
  live.textContent = text;
  if (text) live.scrollIntoView({ block: "nearest" });
}

const sentence = (error) => (error instanceof UKeyError ? error.message : "没有完成，请稍后再试。");

function put(form, fields) {
  Object.entries(fields).forEach(([name, value]) => {
    form.querySelector(`[name=${name}]`)?.remove();
    const field = document.createElement("input");
    Object.assign(field, { type: "hidden", name, value });
    form.append(field);
  });
}

// A form whose fields come from the agent: asked for first, then sent. In the capture phase, before the page's handlers.
function fillsFromAgent(form, ask) {
  let asking = false;
  let filled = false;
  form.addEventListener("submit", async (event) => {
    if (filled) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (asking) return;
    asking = true;
    say("");
    const button = event.submitter;
    try {
      put(form, await ask());
      filled = true;
      form.requestSubmit(button);
    } catch (error) {
      say(sentence(error));
    } finally {
      asking = false;
    }
  }, { capture: true });
  window.addEventListener("pageshow", () => { filled = false; });
}

document.querySelectorAll("form[data-ukey-statement]").forEach((form) => fillsFromAgent(form, () => signStatement({
  statement: form.dataset.ukeyStatement, items: [],
  agentUrl: form.dataset.ukeyAgent, certificateSerial: form.dataset.ukeySerial,
})));

document.querySelectorAll("form[data-ukey-enrol]").forEach((form) => fillsFromAgent(form, async () => {
  const made = await enrol({
    holder: form.dataset.ukeyHolder, suite: form.querySelector("[name=suite]").value, agentUrl: form.dataset.ukeyAgent,
  });
  return { csr: made.csr };
}));

// The UKeys of this machine ---------------------------------------------------------------------------------------------

async function tokensOf(agentUrl) {
  let response;
  try {
    response = await fetch(`${new URL(agentUrl).origin}/info`, { cache: "no-store", credentials: "omit" });
  } catch {
    throw new UKeyError("agent_absent", "没有检测到 UKey 签名程序。请启动后重试；若浏览器询问是否允许访问本机程序，请选择允许。");
  }
  if (!response.ok) throw new UKeyError("agent_refuses", "UKey 签名程序没有登记本网站，请联系系统管理员。");
  return (await response.json()).tokens;
}

document.querySelectorAll("[data-ukey-install]").forEach((button) => button.addEventListener("click", async () => {
  say("");
  button.disabled = true;
  try {
    const response = await fetch(button.dataset.ukeyInstall, { headers: { Accept: "application/json" } });
    const found = await response.json();
    if (!response.ok) throw new UKeyError(found.code, found.message);
    const waiting = (await tokensOf(button.dataset.ukeyAgent)).filter((token) => token.awaits_certificate);
    const label = chosen(button, waiting);
    if (label === null) return;
    await installCertificate({
      label, certificate: found.certificate, subject: `${found.subject} ${found.certificate_serial}`,
      agentUrl: button.dataset.ukeyAgent,
    });
    say("证书已装入 UKey，现在可以用它登录和签名。");
    showState();

// A press before this file had come would send a form without its signature: until now the buttons were closed.
document.querySelectorAll("[data-ukey-ready]").forEach((button) => {
  button.disabled = false;
  if (button.dataset.ukeyReady === "focus") button.focus();
});
  } catch (error) {
    say(sentence(error));
  } finally {
    button.disabled = false;
  }
}));

// Which of the UKeys in wait: the only one, or the one picked from the list that is shown for it.
function chosen(button, waiting) {
  if (!waiting.length) {
    throw new UKeyError("nothing_waits", "本机没有等待证书的 UKey。请在申请证书时用的那台电脑上、插着那只 UKey 操作。");
  }
  const list = button.parentElement.querySelector("[data-ukey-choice]");
  if (waiting.length === 1) return waiting[0].label;
  if (!list.closest("label").hidden && list.value) return list.value;
  list.replaceChildren(new Option("请选择 UKey", ""), ...waiting.map((one) => new Option(`${one.label} · ${one.holder}`, one.label)));
  list.closest("label").hidden = false;
  say("本机有多只 UKey 在等待证书：请选择申请时用的那一只，再点一次。");
  list.focus();
  return null;
}

// On the officer's own page: whether the certificate is on a UKey of this machine, and how many tries its PIN has left.
async function showState() {
  const place = document.querySelector("[data-ukey-state]");
  if (!place) return;
  const show = (text, tone) => {
    place.textContent = text;
    place.className = `state state-${tone}`;
  };
  try {
    const tokens = await tokensOf(place.dataset.ukeyAgent);
    const mine = tokens.find((token) => token.certificate_serial && token.certificate_serial === place.dataset.ukeySerial);
    document.querySelector("[data-ukey-not-installed]")?.toggleAttribute("hidden", Boolean(mine));
    document.querySelector("[data-ukey-last]")?.setAttribute("class", mine ? "done" : "now");
    if (!place.dataset.ukeySerial) show("签名程序已运行", "ok");
    else if (!mine) show("证书还没有装入本机的 UKey", "warn");
    else if (!mine.tries_left) show("UKey 已锁定", "bad");
    else show(`已装入 ${mine.label}，PIN 还可试 ${mine.tries_left} 次`, mine.tries_left < 6 ? "warn" : "ok");
  } catch (error) {
    show(error.code === "agent_refuses" ? "签名程序没有登记本网站" : "没有检测到签名程序", "off");
  }
}

showState();

// A press before this file had come would send a form without its signature: until now the buttons were closed.
document.querySelectorAll("[data-ukey-ready]").forEach((button) => {
  button.disabled = false;
  if (button.dataset.ukeyReady === "focus") button.focus();
});
