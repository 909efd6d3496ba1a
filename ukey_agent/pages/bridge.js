// Between the agent's pages and the site that shows them, and between the pages and their own program.

const parameters = new URLSearchParams(location.search);
const site = parameters.get("origin"); // checked by the program before it gave out this page
const host = window.parent !== window ? window.parent : window.opener;
const MARK = "ukey/1";

const wanted = parameters.get("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
document.documentElement.dataset.theme = wanted === "dark" ? "dark" : "light";

export const $ = (id) => document.getElementById(id);

// The first request of the site that shows this page, and none after it: what is on the screen must stay what is signed.
export function firstRequest() {
  return new Promise((resolve) => {
    window.addEventListener("message", function hear(event) {
      if (event.source !== host || event.origin !== site || event.data?.guoku !== MARK || !event.data.request) return;
      window.removeEventListener("message", hear);
      resolve({ ...event.data, origin: event.origin });
    });
    host?.postMessage({ guoku: MARK, event: "ready" }, site);
  });
}

export function answer(result) {
  host?.postMessage({ guoku: MARK, event: "answer", ok: true, result }, site);
}

export function giveUp(error) {
  host?.postMessage({ guoku: MARK, event: "answer", ok: false, error }, site);
}

export async function call(path, body) {
  let response;
  try {
    response = await fetch(path, body === undefined ? {} : {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
    const value = await response.json();
    return response.ok ? { ok: true, value } : { ok: false, error: value };
  } catch {
    return { ok: false, error: { code: "agent_gone", message: "UKey 程序没有回应，请确认它仍在运行。" } };
  }
}

export function say(place, text) {
  place.textContent = text;
  place.hidden = !text;
}

export const yuan = (text) => text.replace(/\B(?=(\d{3})+\.)/g, ",");

export function cell(kind, text, className = "") {
  const made = document.createElement(kind);
  made.textContent = text;
  made.className = className;
  return made;
}

export function describe(list, pairs) {
  list.replaceChildren(...pairs.flatMap(([name, text]) => [cell("dt", name), cell("dd", text)]));
  list.hidden = false;
}

export const day = (instant) => new Date(instant).toLocaleDateString("zh-CN", { dateStyle: "long" });
