// Binds the libraries above to the page: the control, the leaderboard, the figure of quality against cost, definitions.

const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// Control: an answer is shown if its value of every choice is the chosen one, or empty.
for (const control of all("#control")) {
  const selects = all("select", control);
  const answers = all(".answer", control);
  const fits = (answer, chosen) =>
    chosen.every((select) => ["", select.value].includes(answer.dataset[select.name]));
  const show = () => {
    selects.forEach((select, i) => {
      const possible = answers.filter((answer) => fits(answer, selects.slice(0, i)));
      const options = [...select.options];
      for (const option of options) {
        option.disabled = !possible.some((answer) => ["", option.value].includes(answer.dataset[select.name]));
        option.hidden = option.disabled;
      }
      if (select.selectedOptions[0]?.disabled ?? true) {
        select.value = options.find((option) => !option.disabled).value;
      }
    });
    answers.forEach((answer) => (answer.hidden = !fits(answer, selects)));
  };
  control.addEventListener("change", show);
  all("form", control).forEach((form) => (form.hidden = false));
  show();
}

// Leaderboard: sorted by DataTables, filtered by the facts of each row.
for (const board of all("#leaderboard")) {
  const filters = all("#filters select");
  const table = new DataTable(board, {
    paging: false,
    info: false,
    autoWidth: false,
    order: [[Number(board.dataset.first), "asc"]],
    layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
    columnDefs: [
      { targets: all("thead th", board).flatMap((th, i) => (th.dataset.better === "higher" ? [i] : [])),
        orderSequence: ["desc", "asc"] },
      { targets: "_all", orderSequence: ["asc", "desc"] },
    ],
  });
  const rows = all("tbody tr", board).length;
  const filter = () => {
    table.search.fixed("facts", (text, data, i) =>
      filters.every((select) => ["", table.row(i).node().dataset[select.name]].includes(select.value)));
    table.draw();
    document.querySelector("#shown").textContent = `${table.rows({ search: "applied" }).count()} of ${rows} rows`;
  };
  all("#filters").forEach((form) => {
    form.hidden = false;
    form.addEventListener("change", filter);
  });
  filter();
}

// Figure: one of several costs on its horizontal axis.
for (const figure of all(".chart")) {
  const specs = JSON.parse(figure.querySelector("script").textContent);
  const select = figure.querySelector("select");
  const draw = () =>
    drawChart(figure.querySelector(".drawn"), specs[select.value], {
      mode: "vega-lite", renderer: "svg", actions: false, ast: true,
    });
  figure.hidden = false;
  select.addEventListener("change", draw);
  draw();
}

// Definitions of columns: shown on hover and on focus, hidden by Escape.
const tip = document.querySelector("#definition");
const hide = () => tip.hidePopover();
for (const heading of all("th[title]")) {
  heading.dataset.definition = heading.title;
  heading.removeAttribute("title");
  const show = () => {
    tip.textContent = heading.dataset.definition;
    tip.showPopover();
    const place = heading.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(place.left, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${place.bottom + 6}px`;
  };
  heading.addEventListener("mouseenter", show);
  heading.addEventListener("focusin", show);
  heading.addEventListener("mouseleave", hide);
  heading.addEventListener("focusout", hide);
}
document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
