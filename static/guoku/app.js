// Small conveniences; every page works without this file.

const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const typing = () => /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? "")
  && !["checkbox", "radio", "button", "submit"].includes(document.activeElement.type);

// Theme ---------------------------------------------------------------------------------------------------------------

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-theme-toggle]")) return;
  const next = document.documentElement.dataset.bsTheme === "dark" ? "light" : "dark";
  document.documentElement.dataset.bsTheme = next;
  localStorage.setItem("theme", next);
});

// Forms: one press is one press; say what a dangerous button will do --------------------------------------------------

document.addEventListener("submit", (event) => {
  const form = event.target;
  const button = event.submitter;
  const picked = button?.dataset.bulk !== undefined ? picks(form).length : 0;
  if (button?.dataset.bulk !== undefined && picked === 0) {
    event.preventDefault();
    announce("请先勾选要办理的单据。");
    return;
  }
  const question = button?.dataset.confirm?.replace("{n}", picked).replace("{sum}", chosenSum(form));
  if (question && !form.dataset.confirmed) {
    event.preventDefault();
    ask(question, () => {
      form.dataset.confirmed = "1";
      form.requestSubmit(button);
    });
    return;
  }
  delete form.dataset.confirmed;
  if (form.dataset.busy) {
    event.preventDefault();
    return;
  }
  if (form.method === "post") {
    form.dataset.busy = "1";
    form.dataset.clean = "1";
    form.setAttribute("aria-busy", "true");
  }
});

window.addEventListener("pageshow", () => $$("form[data-busy]").forEach((form) => {
  delete form.dataset.busy;
  form.removeAttribute("aria-busy");
}));

function ask(question, yes) {
  const dialog = document.getElementById("confirm");
  dialog.querySelector("[data-question]").textContent = question;
  dialog.returnValue = "";
  dialog.onclose = () => dialog.returnValue === "yes" && yes();
  dialog.showModal();
  dialog.querySelector("[value=no]").focus();
}

function announce(text) {
  document.getElementById("live").textContent = text;
}

// Leaving a form that was typed into ------------------------------------------------------------------------------------

document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-guard]");
  if (form) form.dataset.dirty = "1";
});
window.addEventListener("beforeunload", (event) => {
  if ($$("form[data-guard][data-dirty]").some((form) => !form.dataset.clean)) event.preventDefault();
});

// Ticking rows -----------------------------------------------------------------------------------------------------------

const boxesOf = (form) => $$(`input[name=ids][form="${form.id}"], #${CSS.escape(form.id)} input[name=ids]`)
  .filter((box) => box.type === "checkbox");
const picks = (form) => boxesOf(form).filter((box) => box.checked && !box.disabled);

function chosenSum(form) {
  const fen = picks(form).reduce((sum, box) => sum + BigInt(box.dataset.amount?.replace(".", "") ?? 0), 0n);
  const text = fen.toString().padStart(3, "0");
  return `${text.slice(0, -2).replace(/\B(?=(\d{3})+$)/g, ",")}.${text.slice(-2)}`;
}

function recount() {
  $$("[data-picked-for]").forEach((place) => {
    const form = document.getElementById(place.dataset.pickedFor);
    if (!form) return;
    const count = picks(form).length;
    place.textContent = count ? `已选 ${count} 笔，合计 ¥ ${chosenSum(form)}` : place.dataset.none ?? "未勾选";
  });
}

document.addEventListener("change", (event) => {
  const all = event.target.closest("[data-tick-all]");
  if (all) {
    const form = document.getElementById(all.dataset.tickAll);
    boxesOf(form).filter((box) => !box.disabled).forEach((box) => { box.checked = all.checked; });
  }
  if (all || event.target.name === "ids") recount();
});
recount();

// The review queue by keyboard -------------------------------------------------------------------------------------------

const rows = () => $$("tr[data-row]");
let here = Math.max(0, rows().findIndex((row) => row.classList.contains("is-selected")));

function mark(row) {
  rows().forEach((other) => {
    other.classList.toggle("is-selected", other === row);
    const link = other.querySelector("a[data-open]");
    if (other === row) link?.setAttribute("aria-current", "true");
    else link?.removeAttribute("aria-current");
  });
  here = rows().indexOf(row);
}

document.addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-row]");
  if (!row || event.target.closest("a[href]:not([data-open]), button, label")) return;
  if (event.target.closest("input")) return;
  mark(row);
  if (!event.target.closest("a")) row.querySelector("a[data-open]")?.click();
});

function go(step) {
  const list = rows();
  if (!list.length) return;
  const row = list[Math.max(0, Math.min(list.length - 1, here + step))];
  mark(row);
  row.scrollIntoView({ block: "nearest" });
  row.querySelector("a[data-open]")?.click();
}

const KEYS = {
  j: () => go(1),
  k: () => go(-1),
  x: () => rows()[here]?.querySelector("input[name=ids]")?.click(),
  a: () => document.querySelector("[data-key=a]:not([disabled])")?.click(),
  r: () => {
    const place = document.querySelector("[data-key=r]");
    if (place) { place.closest("details")?.setAttribute("open", ""); place.focus(); }
  },
  "?": () => document.getElementById("keys")?.showModal(),
  "/": () => document.querySelector("[data-search]")?.focus(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing() || document.querySelector("dialog[open]")) return;
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (act && (document.querySelector("[data-keyboard]") || event.key === "/")) {
    event.preventDefault();
    act();
  }
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  if (opener) document.getElementById(opener.dataset.dialog)?.showModal();
});

// After a refused form the findings are what matters -----------------------------------------------------------------------

document.getElementById("findings")?.focus();
document.addEventListener("htmx:afterSwap", recount);
document.addEventListener("htmx:responseError", () => announce("没有取到数据，请稍后再试。"));
