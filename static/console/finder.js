// The search over everything: opened by its button or Ctrl+K, walked by the arrow keys, with what was opened lately.
(() => {
  "use strict";

  const RECENT = "c-finder-recent";
  const MOST_RECENT = 6;
  const dialog = () => document.getElementById("c-finder");
  const input = () => document.getElementById("c-finder-text");

  function open() {
    if (document.querySelector("dialog[open]")) return;
    input().value = "";
    showRecent();
    dialog().showModal();
    input().focus();
    htmx.trigger(input(), "opened");
  }

  // For this tab only, gone when it closes: names of users stay in no browser.
  function recent() {
    try {
      return JSON.parse(sessionStorage.getItem(RECENT)) || [];
    } catch {
      return [];
    }
  }

  function remember(line) {
    const one = { url: line.getAttribute("href"), icon: line.querySelector(".material-symbols-outlined").textContent };
    one.title = line.querySelector(".c-found-title").textContent;
    one.note = line.querySelector(".c-found-note")?.textContent || "";
    const others = recent().filter((other) => other.url !== one.url);
    sessionStorage.setItem(RECENT, JSON.stringify([one, ...others].slice(0, MOST_RECENT)));
  }

  function part(name, className, text) {
    const element = document.createElement(name);
    element.className = className;
    element.textContent = text;
    return element;
  }

  function showRecent() {
    const section = document.getElementById("c-finder-recent");
    const lines = recent().map((one) => {
      const link = part("a", "c-found-line", "");
      link.href = one.url;
      link.dataset.found = "";
      const icon = part("span", "material-symbols-outlined", one.icon);
      icon.setAttribute("aria-hidden", "true");
      link.append(icon, part("span", "c-found-title", one.title), part("span", "c-found-note", one.note));
      const item = document.createElement("li");
      item.append(link);
      return item;
    });
    section.querySelector("ul").replaceChildren(...lines);
    section.hidden = lines.length === 0;
  }

  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-open-finder]");
    if (opener && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      open();
    }
    const line = event.target.closest("a[data-found]");
    if (line && line.closest("#c-finder")) remember(line);
  });

  document.addEventListener("input", (event) => {
    if (event.target === input()) document.getElementById("c-finder-recent").hidden = event.target.value !== "" || !recent().length;
  });

  // Before Unfold's own shortcut, whose search knows only the names of tables.
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      open();
    },
    true,
  );

  document.addEventListener("keydown", (event) => {
    if (!event.target.closest?.("#c-finder")) return;
    const lines = [...dialog().querySelectorAll("[data-found]")].filter((line) => line.offsetParent !== null);
    const at = lines.indexOf(document.activeElement);
    if (event.key === "Enter" && event.target === input()) {
      // The first result is what Enter opens; without one the form opens the page of results.
      if (!lines.length) return;
      event.preventDefault();
      lines[0].click();
    } else if (event.key === "ArrowDown") {
      event.preventDefault();
      (lines[at + 1] || lines[0])?.focus();
    } else if (event.key === "ArrowUp") {
      event.preventDefault();
      (at <= 0 ? input() : lines[at - 1]).focus();
    }
  });
})();
