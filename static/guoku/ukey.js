// The officer's UKey: shows the agent's page in a dialog and brings back what it signed.
//
// The PIN is typed into the agent's own page, which this one cannot read. A form with data-ukey-prepare="URL" is signed
// before it is sent: its fields go to that URL, the answer names the statement, and the form follows with the signature.

const MARK = "ukey/1";
const READY_MS = 6000;
const DIALOG = "width:min(820px,96vw);max-width:none;height:min(700px,92dvh);max-height:none;padding:0;border:1px solid #77869a;"
  + "border-radius:8px;overflow:hidden;background:transparent";

export class UKeyError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

const MESSAGES = {
  agent_absent: "没有检测到 UKey 签名程序。请启动后重试；若浏览器询问是否允许访问本机程序，请选择允许。",
  agent_refuses: "UKey 签名程序没有登记本网站，请联系系统管理员。",
  cancelled: "已取消签名，没有办理。",
  busy: "正在等待上一次签名。",
};
const failure = (code) => new UKeyError(code, MESSAGES[code]);

// Sign a statement. Resolves to {signature, certificate_serial}; rejects with a UKeyError.
export function signStatement({ statement, items, agentUrl, certificateSerial }) {
  return ask(agentUrl, "/confirm", { request: "sign", statement, items, certificate_serial: certificateSerial });
}

// Make a key and its certificate request on a token the officer chooses. Resolves to {label, csr}.
export function enrol({ holder, suite, agentUrl }) {
  return ask(agentUrl, "/enrol", { request: "csr", holder, suite });
}

// Put an issued certificate (PEM) onto the token. Resolves to the token as the agent describes it.
export function installCertificate({ label, certificate, subject, agentUrl }) {
  return ask(agentUrl, "/enrol", { request: "install", label, certificate, subject });
}

async function ask(agentUrl, path, request) {
  if (document.querySelector("dialog.ukey")) throw failure("busy");
  const agent = new URL(agentUrl).origin;
  try { // opaque, and only to tell a program that is not there from one that does not want this site
    await fetch(`${agent}/alive`, { mode: "no-cors", cache: "no-store", credentials: "omit" });
  } catch {
    throw failure("agent_absent");
  }
  const theme = document.documentElement.dataset.bsTheme === "dark" ? "dark" : "light";
  const frame = document.createElement("iframe");
  frame.src = `${agent}${path}?${new URLSearchParams({ origin: location.origin, theme })}`;
  frame.title = "UKey 签名确认";
  frame.style.cssText = "width:100%;height:100%;border:0;display:block";
  const dialog = document.createElement("dialog");
  dialog.className = "ukey";
  const brief = request.request === "sign" && request.items.length === 0; // a log-in has nothing to list
  dialog.setAttribute("aria-label", "UKey 签名确认");
  dialog.style.cssText = brief ? DIALOG.replace("700px", "320px") : DIALOG;
  dialog.append(frame);
  document.body.append(dialog);
  const before = document.activeElement;
  try {
    return await conversation(dialog, frame, agent, request);
  } finally {
    dialog.close();
    dialog.remove();
    before?.focus();
  }
}

function conversation(dialog, frame, agent, request) {
  return new Promise((resolve, reject) => {
    const heard = new AbortController();
    const end = (settle, value) => {
      heard.abort();
      clearTimeout(patience);
      settle(value);
    };
    const patience = setTimeout(() => end(reject, failure("agent_refuses")), READY_MS);
    window.addEventListener("message", ({ source, origin, data }) => {
      if (source !== frame.contentWindow || origin !== agent || data?.guoku !== MARK) return;
      if (data.event === "ready") {
        clearTimeout(patience);
        frame.contentWindow.postMessage({ guoku: MARK, ...request }, agent);
        frame.focus();
      } else if (data.event === "answer" && data.ok) {
        end(resolve, data.result);
      } else if (data.event === "answer") {
        const { code, message } = data.error;
        end(reject, new UKeyError(String(code), MESSAGES[code] ?? String(message)));
      }
    }, { signal: heard.signal });
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      end(reject, failure("cancelled"));
    });
    dialog.showModal();
  });
}

// Forms -----------------------------------------------------------------------------------------------------------------

const announce = (text) => {
  const live = document.getElementById("live");
  if (!live) return;
  live.textContent = text;
  live.scrollIntoView({ block: "nearest" });
};

const SIGNED = ["statement_id", "signature", "certificate_serial"];
const prepareUrl = (form, button) => button?.dataset.ukeyPrepare ?? form.dataset.ukeyPrepare;

async function prepare(form, button) {
  form.querySelectorAll(SIGNED.map((name) => `input[type=hidden][name=${name}]`).join()).forEach((field) => field.remove());
  const fields = new FormData(form, button);
  const target = button?.getAttribute("formaction") ?? form.getAttribute("action") ?? ""; // a field may be named "action"
  fields.append("ukey_target", new URL(target, location.href).pathname);
  const response = await fetch(prepareUrl(form, button), {
    method: "POST", body: fields, headers: { Accept: "application/json" }, credentials: "same-origin",
  });
  const answer = await response.json().catch(() => null);
  if (!response.ok || !answer) {
    throw new UKeyError(answer?.code ?? "prepare_failed", answer?.message ?? "没有取到待签名的内容，请稍后再试。");
  }
  return answer;
}

function put(form, name, value) {
  const field = document.createElement("input");
  Object.assign(field, { type: "hidden", name, value });
  form.append(field);
}

async function signAndSend(form, button) {
  form.setAttribute("aria-busy", "true");
  announce("");
  try {
    const prepared = await prepare(form, button);
    if (!prepared.statement) { // nothing is left to sign: the page says why, for each
      throw new UKeyError("all_refused", sentences(prepared.refused) || "所选单据都不能办理。");
    }
    if (prepared.refused?.length) announce(`以下单据不在本次签名内：${sentences(prepared.refused)}`);
    const signed = await signStatement({
      statement: prepared.statement, items: prepared.items,
      agentUrl: prepared.agent_url, certificateSerial: prepared.certificate_serial,
    });
    SIGNED.forEach((name) => put(form, name, { ...signed, statement_id: prepared.statement_id }[name]));
    form.dataset.ukeySigned = form.dataset.confirmed = "1"; // the agent's page has asked the question of data-confirm
    form.requestSubmit(button);
  } catch (error) {
    form.removeAttribute("aria-busy");
    announce(error instanceof UKeyError ? error.message : "签名没有完成，请稍后再试。");
  } finally {
    delete form.dataset.ukeyBusy;
  }
}

const sentences = (refused) => (refused ?? [])
  .map((one) => (typeof one === "string" ? one : [one.document_no, one.message].filter(Boolean).join("："))).join("；");

// In the capture phase, before the page's own handlers take the press for the real one.
document.addEventListener("submit", (event) => {
  const form = event.target;
  const button = event.submitter;
  if (!prepareUrl(form, button) || button?.dataset.ukey === "none") return;
  if (form.dataset.ukeySigned) {
    delete form.dataset.ukeySigned;
    return;
  }
  if (button?.dataset.bulk !== undefined && !new FormData(form).has("ids")) return; // app.js says what is missing
  event.preventDefault();
  event.stopImmediatePropagation();
  if (form.dataset.ukeyBusy) return;
  form.dataset.ukeyBusy = "1";
  signAndSend(form, button);
}, { capture: true });
