import { useNow } from "../lib/clock.js";
import { html } from "../lib/dom.js";
import { useResource } from "../lib/resource.js";
import { FailureList } from "../parts/failures.js";
import { Empty, Loaded } from "../parts/note.js";

export function Failures() {
  const now = useNow();
  const failures = useResource("failures", {}, 3_000);
  return html`
    <p class="lede">Dead letters and tasks that are being tried again, the same error of a type counted as one.
      Numbers and identifiers in messages are written as #.</p>
    <${Loaded} from=${failures}>${(data) => data.groups.length
      ? html`<${FailureList} groups=${data.groups} now=${now} />
          ${data.more && html`<p class="soft">Only the newest ${data.searched} failures were looked at.</p>`}`
      : html`<${Empty}>Nothing has failed. What fails shows up here within seconds, newest first.</>`}</>
  `;
}
