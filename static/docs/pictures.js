// Draws the pictures of a page from their Mermaid text, in the colours of the theme. Without scripts the text stays.
(() => {
  "use strict";

  const SMALLEST = 0.65; // of the width that Mermaid gives it, where its words have 16 pixels
  const LIGHT = {
    background: "#ffffff",
    primaryColor: "#f1f5f9",
    primaryBorderColor: "#94a3b8",
    primaryTextColor: "#0f172a",
    lineColor: "#64748b",
    textColor: "#0f172a",
    titleColor: "#0f172a",
    clusterBkg: "#ffffff",
    clusterBorder: "#94a3b8",
    edgeLabelBackground: "#ffffff",
    noteBkgColor: "#eef2ff",
    noteBorderColor: "#a5b4fc",
    noteTextColor: "#0f172a",
    attributeBackgroundColorOdd: "#ffffff",
    attributeBackgroundColorEven: "#f8fafc",
  };
  const DARK = {
    darkMode: true,
    background: "#0f172a",
    primaryColor: "#1e293b",
    primaryBorderColor: "#64748b",
    primaryTextColor: "#e2e8f0",
    lineColor: "#94a3b8",
    textColor: "#e2e8f0",
    titleColor: "#e2e8f0",
    clusterBkg: "#0f172a",
    clusterBorder: "#64748b",
    edgeLabelBackground: "#0f172a",
    noteBkgColor: "#1e1b4b",
    noteBorderColor: "#6366f1",
    noteTextColor: "#e2e8f0",
    attributeBackgroundColorOdd: "#0f172a",
    attributeBackgroundColorEven: "#1e293b",
  };
  const isDark = () => document.documentElement.classList.contains("dark");

  async function draw() {
    mermaid.initialize({
      startOnLoad: false,
      securityLevel: "strict",
      theme: "base",
      themeVariables: isDark() ? DARK : LIGHT,
      fontFamily: "inherit",
      flowchart: { htmlLabels: false },
    });
    for (const [number, text] of document.querySelectorAll("[data-picture]").entries()) {
      text.dataset.source ??= text.textContent;
      const { svg } = await mermaid.render(`doc-picture-${number}`, text.dataset.source);
      text.innerHTML = svg;
      // A large one scrolls in its frame before its words get too small to read.
      const drawing = text.firstElementChild;
      drawing.style.minWidth = `${parseFloat(drawing.style.maxWidth) * SMALLEST}px`;
      text.classList.add("is-drawn");
    }
  }

  draw();
  // The theme's switch changes the class of the root.
  let drawn = isDark();
  new MutationObserver(() => {
    if (drawn !== isDark()) {
      drawn = isDark();
      draw();
    }
  }).observe(document.documentElement, { attributeFilter: ["class"] });
})();
