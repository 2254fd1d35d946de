import { jobObject, jobPath } from '../api';
import { clientSnippet, curlSnippet, SnippetMaker } from '../core';

/** Code that looks at a job. */
export const jobSnippets: SnippetMaker = {
  client: id => {
    const name = JSON.stringify(id);
    return jobObject(id) === 'batch_job'
      ? [
          'import perijove',
          '',
          `job = perijove.BatchJob({"id": ${name}}).refresh()`,
          'print(job)',
          'print(job.logs(tail=20))'
        ].join('\n')
      : clientSnippet(
          `job = client.fine_tuning.jobs.retrieve(${name})`,
          'print(job.status, job.fine_tuned_model)'
        );
  },
  magic: () => '%load_ext perijove\n%perijove jobs',
  curl: id => curlSnippet(jobPath(id))
};
