// Show what would be signed, as the program read it; ask for the PIN; hand the signature back.

import { $, answer, call, cell, day, describe, firstRequest, giveUp, say, yuan } from "./bridge.js";

let refusal = { code: "cancelled", message: "已取消签名。" };
let order = null;

function stop(error) { // nothing more can be signed here: the button only closes
  refusal = error;
  say($("trouble"), error.message);
  $("tries").textContent = "";
  $("pin").disabled = $("go").disabled = true;
  $("cancel").firstChild.textContent = "关闭 ";
  $("cancel").focus();
}

function showTries(left) {
  $("tries").textContent = left < 6 ? `还可以试 ${left} 次` : "";
  $("tries").classList.toggle("few", left <= 2);
}

function show(found) {
  const { token } = found;
  $("what").textContent = found.count ? `${found.action_name} ${found.count} 笔` : found.action_name;
  document.title = $("what").textContent;
  if (found.count) {
    say($("sum"), `¥ ${yuan(found.sum)}`);
    const rows = found.items.map((item, index) => {
      const row = document.createElement("tr");
      const number = item.revision > 1 ? `${item.no}（第 ${item.revision} 版）` : item.no;
      row.append(cell("td", index + 1, "no"), cell("td", number, "mono"), cell("td", item.payee), cell("td", yuan(item.amount), "num"));
      return row;
    });
    $("list").querySelector("tbody").replaceChildren(...rows);
    $("list").querySelector("tfoot td").textContent = yuan(found.sum);
    $("list").hidden = false;
  }
  if (found.note) say($("note"), `原因：${found.note}`);
  const post = found.post_name ? `（${found.post_name}）` : "";
  const until = new Date(found.expires_at).toLocaleTimeString("zh-CN", { hour12: false });
  describe($("who"), [
    ["办理人", found.officer + post], ["网站", found.origin],
    ...(found.region ? [["行政区划", found.region]] : []), ["请在此前签名", until],
  ]);
  $("key").replaceChildren(
    cell("b", `UKey ${token.label}`), ` · ${token.holder} · 证书 ${token.certificate_serial} · 有效至 ${day(token.valid_to)}`,
  );
  showTries(token.tries_left);
  if (token.tries_left === 0) {
    stop({ code: "pin_locked", message: "UKey 已锁定：PIN 连续输错六次。请联系证书管理员重新领取。" });
    return;
  }
  $("go").disabled = false;
  $("pin").focus();
}

$("sign").addEventListener("submit", async (event) => {
  event.preventDefault();
  if ($("go").disabled || !order) return;
  const pin = $("pin").value;
  $("pin").value = "";
  if (!pin) {
    say($("trouble"), "请输入 PIN。");
    return;
  }
  $("go").disabled = true;
  say($("trouble"), "");
  const { ok, value, error } = await call("/sign", { ...order, pin });
  if (ok) {
    answer(value);
    return;
  }
  if (error.code !== "pin_wrong" && error.code !== "pin_malformed") {
    stop(error);
    return;
  }
  say($("trouble"), error.message);
  if (error.tries_left !== undefined) showTries(error.tries_left);
  $("go").disabled = false;
  $("pin").focus();
});

$("cancel").addEventListener("click", () => giveUp(refusal));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") giveUp(refusal);
});

const request = await firstRequest();
if (request.request !== "sign") {
  stop({ code: "bad_request", message: "网站的请求无法理解。" });
} else {
  order = {
    statement: request.statement, items: request.items, certificate_serial: request.certificate_serial, origin: request.origin,
  };
  const { ok, value, error } = await call("/review", order);
  if (ok) show(value);
  else {
    $("what").textContent = "不能签名";
    stop(error);
  }
}
