// Alpine's build for a strict Content-Security-Policy replaces Unfold's own (static/unfold/js/alpine/).
// It parses expressions itself and knows no globals, arrow functions or statements: the few of these that Unfold's
// templates use are given to it here as functions.
document.addEventListener("alpine:init", () => {
  const KEY = "sidebarDesktopOpen";

  window.Alpine.data("theme", window.theme);
  window.Alpine.data("searchForm", window.searchForm);
  window.Alpine.data("searchDropdown", window.searchDropdown);
  // Unfold's own fails with a TypeError when no result is selected, or before there are results.
  window.Alpine.data("searchCommand", () => {
    const unfold = window.searchCommand();
    return {
      ...unfold,
      selectItem(addHistory, openInNewTab) {
        if (this.items && this.items[this.currentIndex - 1]) unfold.selectItem.call(this, addHistory, openInNewTab);
      },
      scrollToActiveItem() {
        if (this.items) unfold.scrollToActiveItem.call(this);
      },
      handleEscape() {
        this.el = document.getElementById("command-results");
        unfold.handleEscape.call(this);
      },
      chooseItem(event) {
        if (!event.metaKey && !event.ctrlKey) this.selectItem(false, false);
      },
    };
  });
  window.Alpine.data("shell", (tab) => ({
    activeTab: tab,
    sidebarMobileOpen: false,
    sidebarDesktopOpen: localStorage.getItem(KEY) !== "0",
    init() {
      if (tab) this.activeTab = window.getCurrentTab() || tab;
      this.$watch(KEY, (open) => localStorage.setItem(KEY, open ? "1" : "0"));
    },
    formAction() {
      const tab = this.activeTab && this.activeTab !== "general" ? `#${this.activeTab}` : "";
      return location.pathname + location.search + tab;
    },
  }));

  const rewrite = (attribute, part, expression) => {
    for (const element of document.querySelectorAll(`[${CSS.escape(attribute)}*="${part}"]`)) {
      element.setAttribute(attribute, expression);
    }
  };
  const tab = /activeTab: '([\w-]*)'/.exec(document.body.getAttribute("x-data") || "");
  if (document.body.hasAttribute("x-data")) {
    document.body.setAttribute("x-data", `shell('${tab ? tab[1] : ""}')`);
    document.body.removeAttribute("x-init");
  }
  rewrite("x-on:click", "localStorage", "sidebarDesktopOpen = !sidebarDesktopOpen");
  rewrite("x-on:keydown.enter.prevent", "selectItem", "chooseItem($event)");
  rewrite("x-bind:action", "window.location", "formAction()");
});
