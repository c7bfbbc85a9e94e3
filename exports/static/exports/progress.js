"use strict";

// Draws the cells of live exports again, until none is live, without reloading the page.
document.addEventListener("DOMContentLoaded", () => {
  const EVERY_MILLISECONDS = 1000;
  const MOST_AT_ONCE = 100;

  const liveCells = () => [...document.querySelectorAll('[data-export][data-live="yes"]')];

  function draw({ cells, live }, id) {
    for (const cell of document.querySelectorAll(`[data-export="${id}"]`)) {
      cell.innerHTML = cells[cell.dataset.cell]; // Escaped by the server, which drew it before, too.
      cell.dataset.live = live ? "yes" : "no";
    }
  }

  async function refresh() {
    const cells = liveCells();
    if (cells.length === 0) return;
    const ids = new Set(cells.map((cell) => cell.dataset.export));
    const query = new URLSearchParams([...ids].slice(0, MOST_AT_ONCE).map((id) => ["id", id]));
    try {
      const answer = await fetch(`${cells[0].dataset.source}?${query}`);
      if (answer.ok) {
        const { exports } = await answer.json();
        for (const [id, drawn] of Object.entries(exports)) draw(drawn, id);
      }
    } catch {
      // The server is away; the next round tries again.
    }
    setTimeout(refresh, EVERY_MILLISECONDS);
  }

  refresh();
});
