"use strict";

// Ticks the countdowns. Each says how many seconds were left when it was drawn, so that the
// browser's clock may be wrong.
document.addEventListener("DOMContentLoaded", () => {
  const EVERY_MILLISECONDS = 250; // The second changes when it should, and not up to one late.
  const dueAt = new WeakMap();

  // The same words as the server's: "4:05", "1:04:05", "2 d 01:04:05".
  function words(seconds) {
    if (seconds <= 0) return "due";
    const two = (number) => String(Math.floor(number)).padStart(2, "0");
    const [days, hours] = [Math.floor(seconds / 86400), Math.floor((seconds % 86400) / 3600)];
    const [minutes, rest] = [(seconds % 3600) / 60, two(seconds % 60)];
    if (days) return `${days} d ${two(hours)}:${two(minutes)}:${rest}`;
    return hours ? `${hours}:${two(minutes)}:${rest}` : `${Math.floor(minutes)}:${rest}`;
  }

  function tick() {
    for (const each of document.querySelectorAll("[data-seconds-left]")) {
      if (!dueAt.has(each)) {
        dueAt.set(each, performance.now() + 1000 * Number(each.dataset.secondsLeft));
      }
      each.textContent = words((dueAt.get(each) - performance.now()) / 1000);
    }
  }

  tick();
  setInterval(tick, EVERY_MILLISECONDS);
});
