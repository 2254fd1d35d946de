import './core.css';
import './sidebar.css';
import './models.css';
import './files.css';
import './plot.css';
import './jobs.css';
import './vectorstores.css';
import './chat.css';
