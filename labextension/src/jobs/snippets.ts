import { clientSnippet, curlSnippet, SnippetMaker } from '../core';

/** Code that looks at a job. */
export const jobSnippets: SnippetMaker = {
  client: id =>
    clientSnippet(
      `job = client.fine_tuning.jobs.retrieve(${JSON.stringify(id)})`,
      'print(job.status, job.fine_tuned_model)'
    ),
  magic: () => '%load_ext perijove\n%perijove jobs',
  curl: id => curlSnippet(`/v1/fine_tuning/jobs/${id}`)
};
