for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") !== "descending" && !head.classList.contains("text")
      || head.classList.contains("text") && head.getAttribute("aria-sort") === "ascending";
    heads.forEach(h => h.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...body.rows].map(row => [row.cells[column].dataset.v, row]);
    const numeric = rows.every(([v]) => v === "" || !Number.isNaN(Number(v)));
    rows.sort(([a], [b]) => {
      if (a === "" || b === "") return (a === "") - (b === "");
      return (numeric ? a - b : a.localeCompare(b, "en", { numeric: true })) * (down ? -1 : 1);
    });
    body.append(...rows.map(([, row]) => row));
  }));
}
