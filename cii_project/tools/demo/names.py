"""Made-up names and the company's vocabulary. All domains are of RFC 2606, all addresses of RFC 5737."""
# ruff: noqa: SIM905  a list of words reads better as text

FIRST = (
    "Ada Ben Carla Dmitri Elif Farid Grace Hana Igor Jana Kofi Lena Mateo Nora Omar Priya Quentin Rosa Samir "
    "Tara Umar Vera Wanda Ximena Yusuf Zoe Anton Bianca Chen Dora Emil Freya Gustav Helga Ivan Julia Karim "
    "Lucia Marek Nadia Oskar Paula Rafael Sofia Tomas Uma Viktor Wren Yara Zeno Amina Boris Celia Dario Esra "
    "Felix Greta Hugo Ines Jonas Keiko Liam Mira Nils Olga Pavel Rania Stefan Thea Ulrich"
).split()
LAST_NAMES = (
    "Abbott Brandt Castillo Dubois Eriksen Fischer Garcia Haddad Ivanova Jensen Kowalski Lindqvist Moreau "
    "Nakamura Okafor Petrov Quinn Rossi Schmidt Tanaka Ueda Vasquez Weber Xu Yilmaz Zhang Alvarez Bianchi "
    "Cohen Diaz Evans Ferrari Gupta Hoffmann Ito Janssen Khan Larsen Meyer Novak Olsen Park Rahman Santos "
    "Torres Urban Vogel Walsh Young Zimmer Arnold Becker Conti Dahl Emeka Fontaine Grant Hansen Iqbal Jovanovic"
).split()
DEPARTMENTS = {
    "Engineering": ["Software Engineer", "Site Reliability Engineer", "Engineering Manager", "Data Engineer"],
    "Sales": ["Account Executive", "Sales Engineer", "Sales Manager"],
    "Finance": ["Accountant", "Controller", "Treasury Analyst"],
    "People": ["Recruiter", "People Partner", "Payroll Specialist"],
    "Support": ["Support Engineer", "Support Lead", "Customer Advocate"],
    "Marketing": ["Content Strategist", "Brand Manager", "Event Planner"],
    "Legal": ["Counsel", "Paralegal", "Privacy Officer"],
    "IT": ["Systems Administrator", "Identity Engineer", "Security Analyst"],
}
APPLICATIONS = "Jira Confluence Slack Salesforce Figma Zoom Tableau GitHub Expensify Zendesk".split()
COUNTRIES = "US US US DE DE GB FR NL SE JP IN BR CA".split()
SERVICES = "backup deploy monitoring billing-sync ldap-bind report-mailer scanner etl printer ci".split()
ROOM_NAMES = "Aurora Borealis Cascade Delta Everest Fjord Glacier Harbor".split()

COMPANY = "Acme"
DOMAIN = "acme.example"
PARTNER_DOMAINS = ("partner.example", "supplier.example", "agency.example")
OUTSIDE_DOMAIN = "mail.example.net"
NETWORKS = ("192.0.2", "198.51.100", "203.0.113")
