/* What is loaded with the first view that is shown. */
import chat from './chat.raw.css';
import clusters from './clusters.raw.css';
import files from './files.raw.css';
import { insertStyles } from './insert.js';
import jobs from './jobs.raw.css';
import log from './log.raw.css';
import models from './models.raw.css';
import objects from './objects.raw.css';
import plot from './plot.raw.css';
import vectorstores from './vectorstores.raw.css';

insertStyles(objects, models, files, plot, jobs, log, vectorstores, clusters, chat);
