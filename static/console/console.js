// The little that htmx and Alpine do not do: menus' place, dialogs, toasts, copy, rows of a form.
(() => {
  "use strict";

  const byId = (id) => document.getElementById(id);

  // Dates that a member sets count in the member's zone (core/viewer_zone.py).
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && /^[\w+\-/]+$/.test(zone)) document.cookie = `zone=${zone}; path=/; max-age=31536000; SameSite=Lax`;

  const ITEMS = "a, button:not([disabled]), input:not([disabled])"; // of a menu

  function toast(detail) {
    const box = byId("c-toasts");
    if (!box || !detail.text) return;
    const item = document.createElement("div");
    item.className = `c-toast c-toast-${detail.level || "info"}`;
    const text = document.createElement("span");
    text.textContent = detail.text;
    const close = document.createElement("button");
    close.type = "button";
    close.className = "c-icon-button";
    close.setAttribute("aria-label", "Dismiss");
    close.innerHTML = '<span class="material-symbols-outlined" aria-hidden="true">close</span>';
    close.addEventListener("click", () => item.remove());
    item.append(text, close);
    // A modal dialog makes the rest of the page inert, so its messages are shown in it.
    (document.querySelector("dialog[open]") || box).append(item);
    if (detail.level !== "error") setTimeout(() => item.remove(), 8000);
  }

  function closeDialog() {
    byId("c-dialog")?.close();
  }

  // Messages of a dialog stay readable after it has closed ("close" does not bubble).
  document.addEventListener(
    "close",
    (event) => {
      if (event.target.matches?.("dialog")) byId("c-toasts")?.append(...event.target.querySelectorAll(".c-toast"));
    },
    true,
  );

  document.addEventListener("toast", (event) => toast(event.detail));
  document.addEventListener("close-dialog", closeDialog);

  // Not before htmx knows the new form: a quick Enter would send it as a full page. For the same reason
  // htmx settles at once (base.html): what a person can see answers.
  document.addEventListener("htmx:afterSettle", (event) => {
    const left = event.detail.xhr.getResponseHeader("HX-Reswap") === "none";
    if (event.detail.target.id !== "c-dialog-body" || left) return;
    const dialog = byId("c-dialog");
    // Closed while it said that the answer takes a while: it stays so.
    if (!dialog.open && event.detail.requestConfig?.elt.dataset?.busy) return;
    dialog.querySelectorAll("[data-switch]").forEach(follow);
    if (!dialog.open) dialog.showModal();
    const wanted = [".errors :is(input, select, textarea)", "[autofocus]", "input:not([type=hidden]), select, textarea"];
    wanted.map((selector) => dialog.querySelector(selector)).find(Boolean)?.focus();
  });
  // Parts that refresh themselves keep what is open and how far it is scrolled; htmx keeps the focus by id.
  let kept = [];
  document.addEventListener("htmx:beforeSwap", (event) => {
    kept = [...event.detail.target.querySelectorAll("[data-keep]")].map((one) => [one.id, one.open, one.scrollTop]);
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const [id, open, scrolled] of kept) {
      const one = byId(id);
      if (one && open !== undefined) one.open = open;
      if (one) one.scrollTop = scrolled;
    }
  });
  // A slow request shows progress where its answer will be: data-busy on the requesting element.
  const waits = (event) => event.detail.elt.dataset?.busy && event.detail.target;
  document.addEventListener("htmx:beforeRequest", (event) => {
    const place = waits(event);
    if (!place) return;
    const dialog = place.id === "c-dialog-body" && byId("c-dialog");
    const said = document.createElement(dialog ? "h2" : "p");
    said.textContent = event.detail.elt.dataset.busy;
    if (dialog) said.id = "c-dialog-title";
    else said.className = "c-note";
    place.replaceChildren(said);
    // The menu gives the focus back to its button first: that is where it returns to when the dialog closes.
    event.detail.elt.closest("[popover]")?.hidePopover();
    if (dialog && !dialog.open) dialog.showModal();
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const place = waits(event);
    if (!place || event.detail.successful) return;
    place.replaceChildren();
    if (place.id === "c-dialog-body") closeDialog();
  });
  document.addEventListener("htmx:beforeRequest", () => byId("c-progress")?.classList.add("is-busy"));
  document.addEventListener("htmx:afterRequest", () => byId("c-progress")?.classList.remove("is-busy"));
  document.addEventListener("htmx:responseError", (event) => {
    const { xhr } = event.detail;
    if (xhr.getResponseHeader("HX-Trigger") || xhr.getResponseHeader("HX-Redirect")) return;
    toast({ level: "error", text: `The server answered ${xhr.status}. Nothing may have been changed; reload the page.` });
  });
  document.addEventListener("htmx:sendError", () =>
    toast({ level: "error", text: "The server could not be reached. Check your connection and try again." }),
  );

  // What cannot be undone, or concerns many, asks first: hx-confirm on what htmx sends, data-confirm on a form. The button
  // that continues is named by data-confirm-label.
  function ask(question, label, goOn) {
    const make = (tag, properties) => Object.assign(document.createElement(tag), properties);
    // A separate dialog: the request may come from inside the other one.
    const dialog = make("dialog", { className: "c-dialog" });
    dialog.setAttribute("aria-labelledby", "c-ask-title");
    const foot = make("div", { className: "c-dialog-foot" });
    const cancel = make("button", { type: "button", className: "c-button", textContent: "Cancel" });
    const yes = make("button", { type: "button", className: "c-button c-button-primary", textContent: label });
    cancel.addEventListener("click", () => dialog.close());
    yes.addEventListener("click", () => { dialog.close(); goOn(); });
    dialog.addEventListener("close", () => dialog.remove());
    foot.append(cancel, yes);
    dialog.append(
      make("h2", { id: "c-ask-title", textContent: label, className: "c-ask-title" }),
      make("p", { className: "c-dialog-text", textContent: question }),
      foot,
    );
    document.body.append(dialog);
    dialog.showModal();
    yes.focus();
  }
  document.addEventListener("htmx:confirm", (event) => {
    const { elt, question, issueRequest } = event.detail;
    if (!question) return;
    event.preventDefault();
    ask(question, elt.dataset.confirmLabel || "Continue", () => issueRequest(true));
  });
  document.addEventListener(
    "submit",
    (event) => {
      const form = event.target;
      if (!form.dataset.confirm || form.isConfirmed) return;
      event.preventDefault();
      const button = event.submitter;
      ask(form.dataset.confirm, form.dataset.confirmLabel || button?.textContent.trim() || "Continue", () => {
        form.isConfirmed = true;
        form.requestSubmit(button);
        form.isConfirmed = false;
      });
    },
    true,
  );

  // Whether a form holds text that a person entered and nobody saved: what differs from the page as it came, or came back with errors.
  function isUnsaved(form) {
    if (form.querySelector('.errorlist, [role="alert"]')) return true;
    const texts = form.querySelectorAll("textarea, input:not([type=checkbox], [type=radio], [type=hidden])");
    return [...texts].some((one) => one.name && !one.disabled && !one.readOnly && one.value !== one.defaultValue);
  }
  let isSending = false;
  document.addEventListener("submit", (event) => { if (!event.defaultPrevented) isSending = true; });
  // A change that htmx sent and the server accepted leads on by itself.
  document.addEventListener("htmx:beforeOnLoad", ({ detail: { xhr } }) => {
    if (xhr.status < 400 && (xhr.getResponseHeader("HX-Redirect") || xhr.getResponseHeader("HX-Refresh"))) isSending = true;
  });
  window.addEventListener("pageshow", () => { isSending = false; });
  window.addEventListener("beforeunload", (event) => {
    if (!isSending && [...document.querySelectorAll('main form[method="post"]:not([data-unguarded])')].some(isUnsaved)) event.preventDefault();
  });

  // Bars differ by their pattern as well as by their colour (core/charts.py): white on it, in both themes.
  const STROKES = {
    stripes: (pen) => { for (const x of [-8, 0, 8]) { pen.moveTo(x - 1, 9); pen.lineTo(x + 9, -1); } },
    dots: (pen) => pen.rect(2.5, 2.5, 3, 3),
    crossed: (pen) => { pen.moveTo(0, 0); pen.lineTo(8, 8); pen.moveTo(0, 8); pen.lineTo(8, 0); },
  };
  function patterned(colour, stroke) {
    const tile = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
    const pen = tile.getContext("2d");
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 8, 8);
    pen.strokeStyle = "#fff";
    pen.lineWidth = 1.5;
    pen.beginPath();
    stroke(pen);
    pen.stroke();
    return pen.createPattern(tile, "repeat");
  }
  window.Chart?.register({
    id: "patterns",
    beforeInit(chart) {
      for (const one of chart.data.datasets) {
        if (STROKES[one.pattern]) one.backgroundColor = patterned(one.backgroundColor, STROKES[one.pattern]);
      }
    },
  });

  // What is folded on the screen is open on paper.
  let unfolded = [];
  window.addEventListener("beforeprint", () => {
    unfolded = [...document.querySelectorAll("details[data-print]:not([open])")];
    for (const one of unfolded) one.open = true;
  });
  window.addEventListener("afterprint", () => { for (const one of unfolded) one.open = false; });

  document.addEventListener("click", (event) => {
    const target = event.target;
    const opener = target.closest("[data-open-dialog]");
    if (opener) byId(opener.dataset.openDialog)?.showModal();
    if (target.closest("[data-close-dialog]")) target.closest("dialog")?.close();
    if (target.matches("dialog")) {
      // The backdrop is the dialog itself: a click outside its box closes it.
      const box = target.getBoundingClientRect();
      const inside = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
      if (!inside && ![...target.querySelectorAll("form")].some(isUnsaved)) target.close();
    }
    const menuItem = target.closest("[data-menu] a, [data-menu] button");
    if (menuItem) menuItem.closest("[data-menu]").hidePopover?.();
    const copier = target.closest("[data-copy]");
    if (copier) copy(copier);
    const adder = target.closest("[data-add-row]");
    if (adder) addRow(adder);
    const remover = target.closest("[data-remove-row]");
    if (remover) removeRow(remover);
  });

  async function copy(button) {
    const source = byId(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.value ?? source.textContent);
      toast({ level: "success", text: "Copied." });
    } catch {
      source.select?.();
      toast({ level: "info", text: "Press Ctrl+C to copy." });
    }
  }

  // Rows of a form: a <template> next to the list, whose __n__ becomes the next number.
  function addRow(button) {
    const list = byId(button.dataset.addRow);
    const template = byId(`${button.dataset.addRow}-template`);
    const n = Number(list.dataset.next || list.children.length);
    list.dataset.next = String(n + 1);
    const holder = document.createElement("div");
    holder.innerHTML = template.innerHTML.replaceAll("__n__", String(n));
    const row = holder.firstElementChild;
    list.append(row);
    row.querySelector("input, select")?.focus();
  }

  function removeRow(button) {
    const row = button.closest("[data-row]");
    const list = row.parentElement;
    const neighbour = row.nextElementSibling || row.previousElementSibling;
    row.remove();
    (neighbour?.querySelector("input") || document.querySelector(`[data-add-row="${list.id}"]`))?.focus();
  }

  // A select or radio group with data-switch="name" shows the parts whose data-when-name lists its value.
  function follow(control) {
    const name = control.dataset.switch;
    const form = control.closest("form") || document;
    const value = control.type === "radio" ? form.querySelector(`[data-switch="${name}"]:checked`)?.value : control.value;
    form.querySelectorAll(`[data-when="${name}"]`).forEach((part) => {
      const shown = part.dataset.is.split(" ").includes(value);
      part.hidden = !shown;
      part.querySelectorAll("input, select, textarea").forEach((input) => (input.disabled = !shown));
    });
  }
  document.addEventListener("change", (event) => {
    if (event.target.dataset?.switch) follow(event.target);
    if (event.target.matches("[data-mask]")) {
      event.target.closest("[data-row]").querySelector("[data-masked]").type = event.target.checked ? "password" : "text";
    }
    if (event.target.matches("select") && event.target.form?.matches("[data-filters]")) event.target.form.requestSubmit();
    if (event.target.matches("[data-check-all]")) {
      const scope = event.target.closest("form") || document;
      scope.querySelectorAll(`input[name="${event.target.dataset.checkAll}"]`).forEach((box) => {
        box.checked = event.target.checked;
      });
    }
  });
  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-switch]").forEach(follow));

  // Empty filters stay out of the address.
  document.addEventListener("formdata", (event) => {
    if (!event.target.matches("[data-filters]")) return;
    for (const [key, value] of [...event.formData.entries()]) if (value === "") event.formData.delete(key);
  });

  // A menu opens below its button, or above it if there is no room below.
  function place(menu) {
    const box = document.querySelector(`[popovertarget="${menu.id}"]`).getBoundingClientRect();
    const below = box.bottom + 4 + menu.offsetHeight < window.innerHeight;
    menu.style.top = `${below ? box.bottom + 4 : Math.max(4, box.top - 4 - menu.offsetHeight)}px`;
    menu.style.left = `${Math.max(8, box.right - menu.offsetWidth)}px`;
  }
  document.addEventListener(
    "toggle",
    (event) => {
      if (!event.target.matches?.("[data-menu]") || event.newState !== "open") return;
      place(event.target);
      // This event comes late: after an arrow key the focus is in the menu already.
      if (!event.target.contains(document.activeElement)) event.target.querySelector(ITEMS)?.focus({ preventScroll: true });
    },
    true,
  );
  for (const moved of ["scroll", "resize"]) {
    window.addEventListener(moved, () => document.querySelectorAll("[data-menu]:popover-open").forEach(place), { passive: true });
  }
  document.addEventListener("keydown", (event) => {
    if (!["ArrowDown", "ArrowUp", "Home", "End"].includes(event.key)) return;
    const opener = event.target.closest?.("[popovertarget]");
    const menu = event.target.closest?.("[data-menu]") || (opener && byId(opener.getAttribute("popovertarget")));
    if (!menu?.matches("[data-menu]")) return;
    const closed = !menu.matches(":popover-open");
    if (closed && !event.key.startsWith("Arrow")) return;
    event.preventDefault();
    // An arrow on the button opens its menu, as WAI-ARIA's menu button does: down at the first, up at the last.
    if (closed) menu.showPopover();
    const items = [...menu.querySelectorAll(ITEMS)];
    const at = items.indexOf(document.activeElement);
    if (event.key === "Home" || (event.key === "ArrowDown" && at === items.length - 1)) items[0]?.focus();
    else if (event.key === "End" || (event.key === "ArrowUp" && at <= 0)) items.at(-1)?.focus();
    else items[at + (event.key === "ArrowDown" ? 1 : -1)].focus();
  });
})();
