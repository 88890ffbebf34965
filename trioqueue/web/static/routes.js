// Which view is shown where.
import { Dead } from "./views/dead.js";
import { Failures } from "./views/failures.js";
import { Overview } from "./views/overview.js";
import { Queues } from "./views/queues.js";
import { Running } from "./views/running.js";
import { Submit } from "./views/submit.js";
import { Task } from "./views/task.js";
import { Tasks } from "./views/tasks.js";
import { Workers } from "./views/workers.js";
import { Missing } from "./views/missing.js";

const VIEWS = [
  { id: "overview", title: "Overview", component: Overview },
  { id: "running", title: "Running now", component: Running },
  { id: "tasks", title: "Tasks", component: Tasks },
  { id: "failures", title: "Failures", component: Failures },
  { id: "dead", title: "Dead letters", component: Dead },
  { id: "queues", title: "Queues", component: Queues },
  { id: "workers", title: "Workers", component: Workers },
  { id: "submit", title: "Submit a task", component: Submit },
];
const TASK = { id: "task", title: "Task", component: Task };
const MISSING = { id: "missing", title: "There is no such page", component: Missing };

export function viewOf(path) {
  if (path.length === 0) return VIEWS[0];
  if (path.length === 2 && path[0] === "task") return TASK;
  const found = path.length === 1 && VIEWS.find((view) => view.id === path[0]);
  return found || MISSING;
}
