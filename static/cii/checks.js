// For the pages of checks, in addition to console.js: insert a variable, toasts that leave, a counted selection.
(() => {
  "use strict";

  document.addEventListener("click", (event) => {
    const insert = event.target.closest("[data-insert]");
    if (insert) insertText(document.getElementById("message-text"), insert.dataset.insert);
    const dismiss = event.target.closest("[data-dismiss]");
    const close = () => dismiss.closest(".c-toast")?.remove();
    // htmx drops the answer to a request whose element is gone.
    if (dismiss?.hasAttribute("hx-post")) dismiss.addEventListener("htmx:afterRequest", close, { once: true });
    else if (dismiss) close();
  });

  function insertText(area, text) {
    if (!area || area.disabled) return;
    area.focus();
    area.setRangeText(text, area.selectionStart, area.selectionEnd, "end");
    area.dispatchEvent(new Event("input", { bubbles: true }));
  }

  // A message's text that nobody saved outlives the page and the session in this browser's storage. It is a template, which
  // every member may read; no form with a secret is kept so.
  const editor = document.getElementById("message-text");
  if (editor && !editor.readOnly) {
    const key = `draft:${editor.form.getAttribute("action")}`;
    const note = document.getElementById("message-draft");
    const read = () => {
      try { return JSON.parse(localStorage.getItem(key)); } catch { return null; }
    };
    const draft = read();
    if (draft && draft.text !== editor.value) {
      const at = new Date(draft.at);
      const when = note.querySelector("time");
      when.dateTime = at.toISOString();
      when.textContent = at.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
      note.hidden = false;
    } else if (!editor.form.querySelector('[role="alert"]')) localStorage.removeItem(key);
    note.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      if ("restoreDraft" in button.dataset) {
        editor.value = draft.text;
        editor.dispatchEvent(new Event("input", { bubbles: true }));
      } else localStorage.removeItem(key);
      note.hidden = true;
      editor.focus();
    });
    editor.addEventListener("input", () => {
      if (editor.value === editor.defaultValue) localStorage.removeItem(key);
      else localStorage.setItem(key, JSON.stringify({ text: editor.value, at: Date.now() }));
    });
  }

  // console.js has already selected all or none.
  document.addEventListener("change", (event) => {
    const said = document.getElementById("bulk-count");
    if (!said || !event.target.matches('[name="slug"], [data-check-all="slug"]')) return;
    const count = document.querySelectorAll('[name="slug"]:checked').length;
    said.textContent = `${count} check${count === 1 ? "" : "s"} selected`;
  });

  // Toasts that the server wrote leave like those that console.js writes.
  document.addEventListener("htmx:oobAfterSwap", (event) => {
    if (event.detail.target.id !== "c-toasts") return;
    event.detail.target.querySelectorAll("[data-fleeting]").forEach((toast) => setTimeout(() => toast.remove(), 12000));
  });
})();
