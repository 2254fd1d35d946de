/* What is loaded with the first view that is shown. */
import './objects.css';
import './models.css';
import './files.css';
import './plot.css';
import './jobs.css';
import './log.css';
import './vectorstores.css';
import './clusters.css';
import './chat.css';
