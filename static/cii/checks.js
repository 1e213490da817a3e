// What the pages of checks need beside console.js: insert a variable, toasts that leave, a counted selection.
(() => {
  "use strict";

  document.addEventListener("click", (event) => {
    const insert = event.target.closest("[data-insert]");
    if (insert) insertText(document.getElementById("message-text"), insert.dataset.insert);
    // The undo's own request must be under way before its toast is gone.
    const dismiss = event.target.closest("[data-dismiss]");
    if (dismiss) setTimeout(() => dismiss.closest(".c-toast")?.remove(), 50);
  });

  function insertText(area, text) {
    if (!area || area.disabled) return;
    area.focus();
    area.setRangeText(text, area.selectionStart, area.selectionEnd, "end");
    area.dispatchEvent(new Event("input", { bubbles: true }));
  }

  // console.js has ticked all or none by now.
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
