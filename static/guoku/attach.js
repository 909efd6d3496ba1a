// Attaching files without leaving the page: chosen, dropped or pasted ones are sent one by one. Without this file the
// form still sends what was chosen.

const form = document.querySelector("form[data-attach]");
const said = form?.querySelector("[data-attach-said]");
let sending = false;

function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const b = crypto.getRandomValues(new Uint8Array(16)); // randomUUID wants HTTPS
  b[6] = (b[6] & 15) | 64;
  b[8] = (b[8] & 63) | 128;
  const hex = [...b].map((value) => value.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

async function send(files) {
  if (sending || !files.length) return;
  sending = true;
  form.setAttribute("aria-busy", "true");
  const problems = [];
  let kept = 0;
  for (const [index, file] of files.entries()) {
    said.textContent = `正在上传 ${index + 1}/${files.length}：${file.name}`;
    try {
      problems.push(...await sendOne(file));
      kept += problems.length ? 0 : 1;
    } catch {
      problems.push(`「${file.name}」没有传上去，请检查网络后再试。`);
    }
  }
  said.textContent = problems.length ? problems.join(" ") : `已上传 ${kept} 个附件。`;
  said.classList.toggle("bad", problems.length > 0);
  form.reset();
  form.removeAttribute("aria-busy");
  sending = false;
  await htmx.ajax("GET", form.dataset.list, { target: "#attached", swap: "outerHTML" });
  const count = document.querySelectorAll("#attached li").length;
  const shown = document.querySelector("#attachments h2 .muted");
  if (shown) shown.textContent = `${count} 份`;
}

async function sendOne(file) {
  const body = new FormData();
  body.set("csrfmiddlewaretoken", form.querySelector("[name=csrfmiddlewaretoken]").value);
  body.set("action_id", newId());
  body.set("file", file, file.name);
  const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
  if (answer.ok) return (await answer.json()).refused.map((one) => one.message);
  const told = await answer.json().catch(() => ({ refused: [] }));
  return told.refused.length ? told.refused.map((one) => one.message) : [`「${file.name}」没有保存（${answer.status}）。`];
}

if (form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    event.stopPropagation();
    send([...form.elements.file.files]);
  });
  document.addEventListener("paste", (event) => {
    const pasted = [...(event.clipboardData?.files ?? [])];
    if (!pasted.length) return;
    event.preventDefault();
    const stamp = new Date().toISOString().slice(0, 19).replace(/[-:T]/g, "");
    send(pasted.map((file, index) => {
      const ending = file.type === "image/jpeg" ? "jpg" : "png";
      const name = file.name && file.name !== "image.png" ? file.name : `粘贴${stamp}${index ? `-${index}` : ""}.${ending}`;
      return new File([file], name, { type: file.type });
    }));
  });
  const place = document.getElementById("attachments");
  place.addEventListener("dragover", (event) => {
    event.preventDefault();
    place.classList.add("is-target");
  });
  place.addEventListener("dragleave", () => place.classList.remove("is-target"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    place.classList.remove("is-target");
    send([...event.dataTransfer.files]);
  });
}

// On the phone a picture is sent as soon as it is taken.
const phone = document.querySelector("form[data-at-once]");
phone?.addEventListener("change", () => {
  const count = [...phone.querySelectorAll("input[type=file]")].reduce((sum, input) => sum + input.files.length, 0);
  if (!count) return;
  phone.querySelector("[data-chosen]").textContent = `正在上传 ${count} 个文件…`;
  phone.requestSubmit();
});
