"use strict";

// Draws the cells of live rows again, until none is live, without reloading the page.
document.addEventListener("DOMContentLoaded", () => {
  const EVERY_MILLISECONDS = 1000;
  const MOST_AT_ONCE = 100;

  const liveCells = () => [...document.querySelectorAll('[data-row][data-live="yes"]')];
  const unlike = (cells, key) => [...new Set(cells.map((cell) => cell.dataset[key]))];

  // Whoever marks a text to copy it must not lose it.
  function isBeingRead(cell) {
    const marked = document.getSelection();
    return !marked.isCollapsed && cell.contains(marked.anchorNode);
  }

  function draw(cell, html) {
    const parts = () => [...cell.querySelectorAll("details[data-key]")];
    const open = new Set(parts().filter((each) => each.open).map((each) => each.dataset.key));
    cell.innerHTML = html; // Escaped by the server, which drew it before, too.
    for (const each of parts()) each.open = open.has(each.dataset.key);
  }

  function refreshRow(cells, row) {
    for (const cell of cells.filter((each) => !isBeingRead(each))) {
      const html = row?.cells[cell.dataset.cell];
      if (html !== undefined) draw(cell, html);
      cell.dataset.live = row?.live ? "yes" : "no"; // A row that is unknown was deleted.
    }
  }

  async function refresh() {
    const cells = liveCells();
    if (cells.length === 0) return;
    const ids = unlike(cells, "row").slice(0, MOST_AT_ONCE);
    const wanted = [...ids.map((id) => ["id", id]), ...unlike(cells, "cell").map((name) => ["cell", name])];
    try {
      const answer = await fetch(`${cells[0].dataset.source}?${new URLSearchParams(wanted)}`);
      if (answer.ok) {
        const { rows } = await answer.json();
        for (const id of ids) refreshRow(cells.filter((cell) => cell.dataset.row === id), rows[id]);
      }
    } catch {
      // The server is away; the next round tries again.
    }
    setTimeout(refresh, EVERY_MILLISECONDS);
  }

  refresh();
});
